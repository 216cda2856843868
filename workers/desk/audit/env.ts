/** The settings of the audit role. */
import * as v from "valibot";
import { AUDIT_STORE, CONSUMER, PROCESS, REDIS } from "../../runtime/env.ts";

export const AuditEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...CONSUMER,
  ...AUDIT_STORE,
});
