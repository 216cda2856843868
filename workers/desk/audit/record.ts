/** Writes the entries of one partition's audit stream to the audit's store, unchanged. */
import { parseAuditEntry } from "../stored/audit.ts";
import type { AuditStore } from "./port.ts";
import type { Consumption } from "../../runtime/consume.ts";

export function recordAudit(store: AuditStore, partition: number): Consumption["handle"] {
  return async (entries) => {
    const readable = entries.filter(({ fields }) => parseAuditEntry(fields) !== undefined);
    await store.append(readable.map(({ id, fields }) => ({ partition, id, fields })));
    return entries.map(({ fields }) =>
      parseAuditEntry(fields) ? "done" : { dead: "not an entry of the audit" },
    );
  };
}
