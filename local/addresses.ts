/**
 * The addresses at which the edge listens: whether it can listen there, and which URLs people use.
 */
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { listenFault } from "./ports.ts";

const LOOPBACK = "127.0.0.1";
/** Each of them means every address of a machine. */
const EVERY_ADDRESS = new Set(["0.0.0.0", "::"]);

export interface AddressFault {
  readonly message: string;
  /** 2 if a setting is wrong. */
  readonly exitCode: 1 | 2;
}

/** Why the edge cannot listen there, and what to do about it. */
export async function addressFault(
  host: string | undefined,
  port: number,
): Promise<AddressFault | undefined> {
  const everywhere = host === undefined || EVERY_ADDRESS.has(host);
  // Some systems let a process listen at every address beside another on loopback, which would then
  // get the requests.
  for (const each of everywhere ? [host ?? "0.0.0.0", LOOPBACK] : [host]) {
    const code = await listenFault(port, each);
    if (code === "EADDRNOTAVAIL") {
      const known = [LOOPBACK, ...networkAddresses()].join(", ");
      const message = `HOST is ${each}, which is no address of this machine: set it to one of ${known}, or to 0.0.0.0 for all.`;
      return { message, exitCode: 2 };
    }
    if (code === "EADDRINUSE") {
      const message = `Port ${port} is taken: stop what listens there, or set PORT to another.`;
      return { message, exitCode: 1 };
    }
    if (code !== undefined) {
      const message = `Nothing can listen at ${each}, port ${port} (${code}): set HOST or PORT to another.`;
      return { message, exitCode: 1 };
    }
  }
  return undefined;
}

/** `home` is for this machine; `elsewhere` lists the URLs for other machines in its networks. */
export function listAddresses(
  host: string | undefined,
  port: number,
): { readonly home: string; readonly elsewhere: readonly string[] } {
  const url = (address: string): string =>
    `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
  if (host !== undefined && !EVERY_ADDRESS.has(host)) return { home: url(host), elsewhere: [] };
  return { home: url(LOOPBACK), elsewhere: networkAddresses().map(url) };
}

/** The IPv4 addresses of this machine that others can reach. */
export function networkAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}
