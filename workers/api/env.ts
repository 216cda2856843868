/** The settings of the records API. */
import * as v from "valibot";
import { ISSUER, port, PROCESS, REDIS, REGIONS, STORE } from "../runtime/env.ts";

export const RecordsEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...REGIONS,
  ...STORE,
  ...ISSUER,
  FANFARE_RECORDS_PORT: v.optional(port, "8790"),
});
