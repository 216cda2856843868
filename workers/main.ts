/** `main.ts <role>`: one process, one role. Prints `ready` on its standard output once it serves; SIGTERM and SIGINT drain it. */
import { own } from "../domain/own.ts";
import { MissingSetting, readEnv } from "./runtime/env.ts";
import { configureLog } from "./runtime/log.ts";
import type { Role } from "./runtime/role.ts";

type Failure = NodeJS.ErrnoException & { readonly port?: number };

const ROLES: Record<string, () => Promise<{ role: Role }>> = {
  broker: () => import("./copier/place/role.ts"),
  desk: () => import("./desk/server/role.ts"),
  audit: () => import("./desk/audit/role.ts"),
  settle: () => import("./desk/settle/role.ts"),
  dispatch: () => import("./copier/dispatch/role.ts"),
  recorder: () => import("./copier/recorder/role.ts"),
  records: () => import("./api/role.ts"),
  quotes: () => import("./desk/quotes/role.ts"),
  simulator: () => import("./desk/simulator/role.ts"),
  seed: () => import("./commands/seed/seed.ts"),
  roster: () => import("./commands/roster.ts"),
  reconcile: () => import("./copier/reconcile/role.ts"),
  control: () => import("./commands/control/control.ts"),
  settings: () => import("./commands/settings.ts"),
  token: () => import("./commands/token.ts"),
};

const name = process.argv[2] ?? "";
const load = own(ROLES, name);
if (!load) {
  console.error(`usage: main.ts <role>, where role is one of ${Object.keys(ROLES).join(", ")}`);
  process.exit(2);
}

const env = readEnv(process.env);
if (!env.ok) {
  console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    stop.abort();
  });
}

await configureLog(name);
const { role } = await load();
try {
  await role(env.value, stop.signal, () => {
    console.log("ready");
  });
} catch (error) {
  const { name: kind, message, stack = "", code = kind, port } = error as Failure;
  const what = port === undefined ? code : `${code} on port ${port}`;
  // A library's message may hold an address with its password: where it came from has to do.
  const told =
    error instanceof MissingSetting ? message : `${what} ${stack.split("\n").at(1)?.trim() ?? ""}`;
  console.error(`${name} could not go on: ${told}`);
  process.exit(1);
}
process.exit();
