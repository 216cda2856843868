/** The records that the configuration names: MongoDB where it has a URI, SQLite in the data folder otherwise. */
import type { WorkerEnv } from "../runtime/env.ts";
import type { Records } from "./port.ts";

export async function openRecords(
  env: Pick<WorkerEnv, "MONGODB_URI" | "FANFARE_DATA">,
): Promise<Records> {
  // Loaded on demand: whoever uses one driver does not pay for the other.
  if (env.MONGODB_URI !== undefined) {
    const { openMongoRecords } = await import("./mongo/open.ts");
    return await openMongoRecords(env.MONGODB_URI);
  }
  const { openSqliteRecords } = await import("./sqlite/open.ts");
  return openSqliteRecords(env.FANFARE_DATA);
}
