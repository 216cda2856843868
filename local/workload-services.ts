/**
 * A desk for one run: Redis, the simulated quote server, two desk servers, the quotes and the
 * audit, with temporary data.
 */
import { randomBytes } from "node:crypto";
import { freePorts } from "./ports.ts";
import type { Service } from "./process.ts";
import { prepareRedis } from "./redis.ts";
import { workerService } from "./worker-service.ts";

/** Longer than any run: pending orders stay valid, however slow the machine. */
const NEVER_MS = "900000000000";
/** With one Redis for all partitions, more partitions only make batches smaller. */
const PARTITIONS = "1";

export interface WorkloadServicesOptions {
  readonly root: string;
  readonly data: string;
  /** A file of fixed prices, if the run must have one right answer. */
  readonly prices: string | undefined;
}

export interface WorkloadServices {
  readonly stages: readonly (readonly Service[])[];
  readonly urls: readonly string[];
  /** The settings of the command that drives the desk, secrets included. */
  readonly settings: Readonly<Record<string, string>>;
}

export async function workloadServices({
  root,
  data,
  prices,
}: WorkloadServicesOptions): Promise<WorkloadServices> {
  const secret = (): string => randomBytes(24).toString("base64url");
  const redis = await prepareRedis({ data, durability: "everysec", password: secret() });
  const ports = await freePorts([redis.port], "asked", "streaming", "quotes", "desk1", "desk2");
  const settings = {
    FANFARE_REDIS_URL: redis.url,
    FANFARE_PARTITIONS: PARTITIONS,
    FANFARE_DATA: data,
    FANFARE_DESK_TOKEN: secret(),
  };
  const sources = {
    FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${ports.asked}`,
    FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${ports.streaming}`,
  };
  const worker = (name: string, role: string, env: Record<string, string>): Service =>
    workerService(root, name, role, { ...settings, ...sources, FANFARE_CONSUMER: name, ...env });
  const desk = (name: "desk1" | "desk2"): Service =>
    worker(name, "desk", {
      FANFARE_DESK_PORT: String(ports[name]),
      ...(prices === undefined ? {} : { FANFARE_DESK_PENDING_MS: NEVER_MS }),
    });
  return {
    stages: [
      [
        redis.service,
        worker("simulator", "simulator", {
          FANFARE_SIMULATOR_ASKED_PORT: String(ports.asked),
          FANFARE_SIMULATOR_STREAMING_PORT: String(ports.streaming),
          ...(prices === undefined
            ? { FANFARE_SIMULATOR_LATENCY: "legacy" }
            : { FANFARE_SIMULATOR_PRICES: prices }),
        }),
      ],
      [
        worker("quotes", "quotes", { FANFARE_QUOTES_PORT: String(ports.quotes) }),
        worker("audit", "audit", {}),
        desk("desk1"),
        desk("desk2"),
      ],
    ],
    urls: [ports.desk1, ports.desk2].map((port) => `http://127.0.0.1:${port}`),
    settings,
  };
}
