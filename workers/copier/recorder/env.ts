/** The settings of the recorder. */
import * as v from "valibot";
import { CONSUMER, PROCESS, REDIS, REGIONS, STORE } from "../../runtime/env.ts";

export const RecorderEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...REGIONS,
  ...CONSUMER,
  ...STORE,
});
