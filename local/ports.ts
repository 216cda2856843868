/** Ports for what listens on this machine only, and whether one is taken. */
import { createServer, type AddressInfo } from "node:net";

export async function isFree(port: number, host: string): Promise<boolean> {
  return (await listenOnce(port, host)) !== undefined;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0, "127.0.0.1");
  if (port === undefined) throw new Error("no free port");
  return port;
}

/** Different from each other, as long as nobody else takes one. */
export async function freePorts<Name extends string>(
  ...names: readonly Name[]
): Promise<Record<Name, number>> {
  const ports = new Set<number>();
  while (ports.size < names.length) ports.add(await freePort());
  const each = [...ports];
  return Object.fromEntries(names.map((name, index) => [name, each[index]])) as Record<
    Name,
    number
  >;
}

async function listenOnce(port: number, host: string): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => {
      resolve(undefined);
    });
    server.listen({ port, host, exclusive: true }, () => {
      const taken = (server.address() as AddressInfo).port;
      server.close(() => {
        resolve(taken);
      });
    });
  });
}
