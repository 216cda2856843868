/** Every setting of the workers: a name that belongs to another role is no fault, a name that no role has is one. */
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

/** Commands other than the seed have no setting that is not a role's, too. */
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
