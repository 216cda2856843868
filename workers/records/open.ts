/** Opens the configured records: MongoDB if there is a URI, SQLite in the data folder otherwise. */
import type { StoreSettings } from "../runtime/env.ts";
import type { Records } from "./port.ts";

export async function openRecords(settings: StoreSettings): Promise<Records> {
  // Loaded on demand: a process with one driver does not load the other.
  if (settings.MONGODB_URI !== undefined) {
    const { openMongoRecords } = await import("./mongo/open.ts");
    return await openMongoRecords(settings.MONGODB_URI);
  }
  const { openSqliteRecords } = await import("./sqlite/open.ts");
  return openSqliteRecords(settings.FANFARE_DATA);
}
