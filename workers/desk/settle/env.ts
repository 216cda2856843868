/** The settings of the settle role. */
import * as v from "valibot";
import { CONSUMER, PROCESS, REDIS } from "../../runtime/env.ts";

export const SettleEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...CONSUMER,
});
