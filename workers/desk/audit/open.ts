/** The audit that the configuration names: a MongoDB of its own, or where the records are. */
import type { AuditStoreSettings } from "../../runtime/env.ts";
import type { AuditStore } from "./port.ts";

export async function openAudit(settings: AuditStoreSettings): Promise<AuditStore> {
  const uri = settings.AUDIT_MONGODB_URI ?? settings.MONGODB_URI;
  // Loaded on demand: whoever uses one driver does not pay for the other.
  if (uri !== undefined) return await (await import("./mongo.ts")).openMongoAudit(uri);
  return (await import("./sqlite.ts")).openSqliteAudit(settings.FANFARE_DATA);
}
