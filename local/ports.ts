/**
 * Chooses ports for services of this machine only, and checks whether a process can listen at an
 * address.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** The system's code for why a process cannot listen there, such as `EADDRINUSE`, or undefined. */
export async function listenFault(port: number, host: string): Promise<string | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.name);
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(undefined);
      });
    });
  });
}

export async function isFree(port: number, host: string): Promise<boolean> {
  return (await listenFault(port, host)) === undefined;
}

/**
 * Below the ports that systems use for outgoing connections (32768 and up on Linux): any connection
 * could take one of those between its choice and its use.
 */
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port, "127.0.0.1")) return port;
  }
}

/**
 * Ports that differ from each other and from those that were chosen before and are not used yet,
 * unless another program takes one.
 */
export async function freePorts<Name extends string>(
  chosen: readonly number[],
  ...names: readonly Name[]
): Promise<Record<Name, number>> {
  const ports = new Set(chosen);
  const before = ports.size;
  while (ports.size < before + names.length) ports.add(await freePort());
  const each = [...ports].slice(before);
  return Object.fromEntries(names.map((name, index) => [name, each[index]])) as Record<
    Name,
    number
  >;
}
