/** The audit that the configuration names: a MongoDB of its own, or where the records are. */
import type { WorkerEnv } from "../../runtime/env.ts";
import type { AuditStore } from "./port.ts";

export async function openAudit(
  env: Pick<WorkerEnv, "AUDIT_MONGODB_URI" | "MONGODB_URI" | "FANFARE_DATA">,
): Promise<AuditStore> {
  const uri = env.AUDIT_MONGODB_URI ?? env.MONGODB_URI;
  // Loaded on demand: whoever uses one driver does not pay for the other.
  if (uri !== undefined) return await (await import("./mongo.ts")).openMongoAudit(uri);
  return (await import("./sqlite.ts")).openSqliteAudit(env.FANFARE_DATA);
}
