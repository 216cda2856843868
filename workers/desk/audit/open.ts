/** The audit that the configuration names: its own MongoDB, or the place of the records. */
import type { AuditStoreSettings } from "../../runtime/env.ts";
import type { AuditStore } from "./port.ts";

export async function openAudit(settings: AuditStoreSettings): Promise<AuditStore> {
  const uri = settings.AUDIT_MONGODB_URI ?? settings.MONGODB_URI;
  // Loaded on demand: a process loads only the driver that it uses.
  if (uri !== undefined) return await (await import("./mongo.ts")).openMongoAudit(uri);
  return (await import("./sqlite.ts")).openSqliteAudit(settings.FANFARE_DATA);
}
