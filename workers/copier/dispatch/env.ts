/** The settings of the home worker. */
import * as v from "valibot";
import { CONSUMER, ISSUER, PROCESS, REDIS, REGIONS } from "../../runtime/env.ts";

export const DispatchEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...REGIONS,
  ...CONSUMER,
  ...ISSUER,
});
