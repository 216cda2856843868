/** The parts of the edge. Everything that differs between runtimes and tests is passed in here. */
import type { Service } from "../http/service.ts";
import { PartitionMap } from "../redis/keys.ts";
import { Confirmations } from "./confirmations.ts";
import { toHex, sha256Hex } from "./digest.ts";
import { DeskServers } from "./desk/servers.ts";
import type { EdgeEnv } from "./env.ts";
import { Formats } from "./formats.ts";
import { openStore, type Store } from "./store.ts";
import { tokenVerifier, type Caller, type TokenVerifier } from "./tokens.ts";

export interface Edge {
  readonly home: Store;
  /** Region name → its Redis. */
  readonly regions: ReadonlyMap<string, Store>;
  readonly formats: Formats;
  readonly confirmations: Confirmations;
  readonly partitions: PartitionMap;
  readonly verifyToken: TokenVerifier;
  /** Opens the sealed secrets of webhooks. */
  readonly sealKey: Uint8Array;
  readonly recordsUrl: string | undefined;
  /** Undefined if this edge has no desk. */
  readonly desk: DeskServers | undefined;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  /** Hexadecimal. */
  readonly sha256: (text: string) => string | Promise<string>;
  /** 32 hexadecimal digits. */
  readonly random: () => string;
  /** Aborts when the process drains: streams and waits end then. */
  readonly stop: AbortSignal;
}

/** Serves the edge's own operations. */
export type EdgeService = Service<Caller>;

/** `sha256` may be the runtime's own function, if that is faster than the common one. */
export function openEdge(
  env: EdgeEnv,
  stop: AbortSignal,
  sha256: Edge["sha256"] = sha256Hex,
): Edge {
  const home = openStore({ url: env.FANFARE_HOME_URL, token: env.FANFARE_HOME_TOKEN });
  const regions = new Map(
    Object.entries(env.FANFARE_REGIONS).map(([name, address]) => [name, openStore(address)]),
  );
  return {
    home,
    regions,
    formats: new Formats(home, regions, env.FANFARE_PARTITIONS),
    confirmations: new Confirmations(home),
    partitions: new PartitionMap(env.FANFARE_PARTITIONS),
    verifyToken: tokenVerifier(env.FANFARE_ISSUER_KEYS),
    sealKey: env.FANFARE_SEAL_KEY,
    recordsUrl: env.FANFARE_RECORDS_URL,
    desk:
      env.FANFARE_DESK_URLS && env.FANFARE_DESK_TOKEN
        ? new DeskServers({
            urls: env.FANFARE_DESK_URLS,
            token: env.FANFARE_DESK_TOKEN,
            clock: Date.now,
          })
        : undefined,
    clock: Date.now,
    sha256,
    random: () => toHex(crypto.getRandomValues(new Uint8Array(16))),
    stop,
  };
}
