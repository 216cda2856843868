/**
 * `main.ts <role>`: one process, one role. Prints `ready` on its standard output once it serves;
 * SIGTERM and SIGINT drain it. Exits with 0 after a drain, 1 after a failure, 2 when its settings
 * are wrong or do not match its Redis.
 */
import { own } from "../domain/own.ts";
import { SYSTEM_CLOCK } from "./runtime/clock.ts";
import { openConnections } from "./runtime/connections.ts";
import { armCrashPoint } from "./runtime/crash-point.ts";
import {
  readSettings,
  summarizeSettings,
  type ProcessSettings,
  type RedisSettings,
  type RegionSettings,
  type SettingsSchema,
} from "./runtime/env.ts";
import { FormatDiffers, RedisSilent } from "./runtime/format.ts";
import { configureLog } from "./runtime/log.ts";
import { Metrics, serveMetrics } from "./runtime/metrics.ts";
import type { Role } from "./runtime/role.ts";
import { SETTING_NAMES } from "./settings.ts";

type Failure = NodeJS.ErrnoException & { readonly port?: number };

const ROLES: Record<string, () => Promise<{ role: Role<SettingsSchema> }>> = {
  broker: () => import("./copier/place/role.ts"),
  desk: () => import("./desk/server/role.ts"),
  audit: () => import("./desk/audit/role.ts"),
  settle: () => import("./desk/settle/role.ts"),
  dispatch: () => import("./copier/dispatch/role.ts"),
  recorder: () => import("./copier/recorder/role.ts"),
  records: () => import("./api/role.ts"),
  quotes: () => import("./desk/quotes/role.ts"),
  simulator: () => import("./desk/simulator/role.ts"),
  reconcile: () => import("./copier/reconcile/role.ts"),
};

const name = process.argv[2] ?? "";
const load = own(ROLES, name);
if (!load) {
  console.error(`usage: main.ts <role>, where role is one of ${Object.keys(ROLES).join(", ")}`);
  process.exit(2);
}

const { role } = await load();
const read = readSettings(role.settings, process.env, SETTING_NAMES);
if (!read.ok) {
  console.error(read.faults.map((fault) => `configuration: ${fault}`).join("\n"));
  process.exit(2);
}
// Each role's schema has these settings; the others belong to the role.
const settings = read.value as ProcessSettings & Partial<RedisSettings & RegionSettings>;

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    stop.abort();
  });
}

const log = await configureLog(name);
log.info("starts", { settings: summarizeSettings(role.settings, settings) });
const armCrash = (): void => {
  armCrashPoint(settings.FANFARE_CRASH_AT);
};
if (role.crashPointsFrom !== "ready") armCrash();

try {
  const metrics = new Metrics(name);
  const { FANFARE_METRICS_PORT: port, FANFARE_HOST: host } = settings;
  const metricsServer = port === undefined ? undefined : serveMetrics(metrics, host, port);
  const connections = await openConnections(settings, { stop: stop.signal });
  const running = role.run({
    settings,
    connections,
    clock: SYSTEM_CLOCK,
    random: Math.random,
    log,
    metrics,
    stop: stop.signal,
    ready() {
      if (role.crashPointsFrom === "ready") armCrash();
      console.log("ready");
    },
  });
  await Promise.race([running, connections.differs]);
  connections.close();
  await metricsServer?.stop();
} catch (error) {
  // It was stopped while it waited for its Redis.
  if (error instanceof RedisSilent && stop.signal.aborted) process.exit();
  if (error instanceof FormatDiffers) {
    console.error(`${name} could not go on: ${error.message}`);
    process.exit(2);
  }
  const { name: kind, stack = "", code = kind, port } = error as Failure;
  const what = port === undefined ? code : `${code} on port ${port}`;
  // A library's message may contain an address with its password, so only the error's place is
  // shown.
  console.error(`${name} could not go on: ${what} ${stack.split("\n").at(1)?.trim() ?? ""}`);
  process.exit(1);
}
process.exit();
