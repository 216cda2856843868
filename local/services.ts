/**
 * The processes of one machine, in the stages of their start, each with only the settings that it
 * needs.
 */
import { join } from "node:path";
import { extractPublicKeys, type Keys } from "./keys.ts";
import type { Settings } from "./env.ts";
import type { LocalRedis } from "./redis.ts";
import type { Service } from "./process.ts";
import { bunService, commandService, workerService } from "./worker-service.ts";

/** The ports of services that only this machine uses; chosen again at each start. */
export const INTERNAL_PORTS = [
  "bridge",
  "records",
  "desk",
  "desk2",
  "quotes",
  "simulatorAsked",
  "simulatorStreaming",
] as const;
export type InternalPorts = Readonly<Record<(typeof INTERNAL_PORTS)[number], number>>;

/** The same for edge and workers, and it never changes: keys are spread by it. */
const PARTITIONS = "4";
const REGION = "local";

export interface Parts {
  readonly root: string;
  readonly settings: Settings;
  readonly keys: Keys;
  readonly redis: LocalRedis;
  readonly ports: InternalPorts;
}

export interface Services {
  readonly stages: readonly (readonly Service[])[];
  /** One-shot: the demo provider, channel, followers and day trader. */
  readonly seed: Service;
  /** One-shot: makes the roster agree with the records. */
  readonly roster: Service;
  /** The settings for commands in another terminal, secrets included. */
  readonly settings: Readonly<Record<string, string>>;
  /** Last to start, first to stop; it serves the page if there is one. */
  edge(page: string | undefined): Service;
}

export function listServices({ root, settings, keys, redis, ports }: Parts): Services {
  const store = { FANFARE_REDIS_URL: redis.url, FANFARE_PARTITIONS: PARTITIONS };
  const records = {
    FANFARE_DATA: settings.data,
    ...(settings.mongodbUri === undefined ? {} : { MONGODB_URI: settings.mongodbUri }),
    ...(settings.auditMongodbUri === undefined
      ? {}
      : { AUDIT_MONGODB_URI: settings.auditMongodbUri }),
  };
  const desk = {
    FANFARE_DESK_URL: loopback(ports.desk),
    FANFARE_DESK_TOKEN: keys.deskToken,
  };
  const issuer = { FANFARE_ISSUER_KEY: JSON.stringify(keys.issuerKey) };
  const seal = { FANFARE_SEAL_KEY: keys.sealKey };
  const quotes = {
    FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${ports.simulatorAsked}`,
    FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${ports.simulatorStreaming}`,
  };

  const bun = (name: string, words: readonly string[], env: Record<string, string>): Service =>
    bunService(root, name, words, env);
  const worker = (role: string, env: Record<string, string>, name = role): Service =>
    workerService(root, name, role, { FANFARE_CONSUMER: REGION, ...env });

  /** Each can serve every request: the copier uses the first, the edge both. */
  const deskServer = (name: "desk" | "desk2"): Service =>
    worker(
      "desk",
      {
        ...store,
        ...quotes,
        ...records,
        FANFARE_CONSUMER: name,
        FANFARE_DESK_PORT: String(ports[name]),
        FANFARE_DESK_TOKEN: keys.deskToken,
      },
      name,
    );

  return {
    stages: [
      [
        bun("bridge", [join(root, "local/bridge.ts")], {
          FANFARE_REDIS_URL: redis.url,
          FANFARE_BRIDGE_TOKEN: keys.bridgeToken,
          FANFARE_BRIDGE_PORT: String(ports.bridge),
        }),
        worker("simulator", {
          FANFARE_SIMULATOR_ASKED_PORT: String(ports.simulatorAsked),
          FANFARE_SIMULATOR_STREAMING_PORT: String(ports.simulatorStreaming),
        }),
      ],
      [
        worker("quotes", { ...store, ...quotes, FANFARE_QUOTES_PORT: String(ports.quotes) }),
        deskServer("desk"),
        deskServer("desk2"),
        worker("recorder", { ...store, ...records }),
        worker("audit", { ...store, ...records }),
        worker("records", {
          ...store,
          ...records,
          ...issuer,
          ...seal,
          FANFARE_RECORDS_PORT: String(ports.records),
        }),
      ],
      [
        worker("settle", store),
        worker("dispatch", { ...store, ...issuer }),
        worker("broker", { ...store, ...desk }),
        worker("reconcile", { ...store, ...records, ...desk }),
      ],
    ],
    seed: commandService(root, "seed", "seed", {
      ...store,
      ...records,
      ...seal,
      ...desk,
      FANFARE_DEMO_PASSWORD: keys.demoPassword,
    }),
    roster: commandService(root, "roster", "roster:rebuild", { ...store, ...records }),
    settings: { ...store, ...records, ...desk, ...issuer },
    edge: (page) =>
      bun("edge", [join(root, "edge/entry-bun.ts")], {
        ...(settings.host === undefined ? {} : { HOST: settings.host }),
        PORT: String(settings.port),
        FANFARE_HOME_URL: loopback(ports.bridge),
        FANFARE_HOME_TOKEN: keys.bridgeToken,
        FANFARE_REGIONS: JSON.stringify({
          [REGION]: { url: loopback(ports.bridge), token: keys.bridgeToken },
        }),
        FANFARE_PARTITIONS: PARTITIONS,
        FANFARE_ISSUER_KEYS: JSON.stringify(extractPublicKeys(keys)),
        ...seal,
        FANFARE_RECORDS_URL: loopback(ports.records),
        FANFARE_DESK_URLS: [ports.desk, ports.desk2].map(loopback).join(","),
        FANFARE_DESK_TOKEN: keys.deskToken,
        ...(page === undefined ? {} : { FANFARE_APP: page }),
      }),
  };
}

function loopback(port: number): string {
  return `http://127.0.0.1:${port}`;
}
