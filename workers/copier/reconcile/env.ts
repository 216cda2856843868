/** The settings of the reconciler, as a role and as a command. */
import * as v from "valibot";
import { PROCESS, REDIS, REGIONS, STORE } from "../../runtime/env.ts";
import { BROKER, namesBroker, NO_BROKER } from "../brokers/env.ts";

export const ReconcileEnv = v.pipe(
  v.object({
    ...PROCESS,
    ...REDIS,
    ...REGIONS,
    ...STORE,
    ...BROKER,
  }),
  v.partialCheck([["FANFARE_BROKER_URL"], ["FANFARE_DESK_TOKEN"]], namesBroker, NO_BROKER),
);
export type ReconcileSettings = v.InferOutput<typeof ReconcileEnv>;
