/** All settings of the workers: a name of another role is not a fault, an unknown name is. */
import { RecordsEnv } from "./api/env.ts";
import { SeedEnv } from "./commands/seed/env.ts";
import { DispatchEnv } from "./copier/dispatch/env.ts";
import { PlaceEnv } from "./copier/place/env.ts";
import { ReconcileEnv } from "./copier/reconcile/env.ts";
import { RecorderEnv } from "./copier/recorder/env.ts";
import { AuditEnv } from "./desk/audit/env.ts";
import { QuotesEnv } from "./desk/quotes/env.ts";
import { DeskEnv } from "./desk/server/env.ts";
import { SettleEnv } from "./desk/settle/env.ts";
import { SimulatorEnv } from "./desk/simulator/env.ts";

/** Except for the seed, commands use only settings that roles also have. */
export const SCHEMAS = [
  PlaceEnv,
  DispatchEnv,
  RecorderEnv,
  ReconcileEnv,
  RecordsEnv,
  DeskEnv,
  AuditEnv,
  SettleEnv,
  QuotesEnv,
  SimulatorEnv,
  SeedEnv,
];

export const SETTING_NAMES: ReadonlySet<string> = new Set(
  SCHEMAS.flatMap(({ entries }) => Object.keys(entries)),
);
