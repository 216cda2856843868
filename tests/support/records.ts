/** The records on each driver that this machine can run, for `describe.each`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "bun:test";
import { openMongoRecords } from "../../workers/records/mongo/open.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { startMongo } from "./mongo.ts";

export interface Driver {
  readonly name: string;
  /** A second opening acts as a second process. */
  open(): Promise<Records>;
}

/** Call it once, at the top of a test file: everything is removed at the end of the file. */
export async function recordsDrivers(): Promise<readonly Driver[]> {
  const mongo = await startMongo();
  const folder = mkdtempSync(join(tmpdir(), "fanfare-records-"));
  afterAll(async () => {
    await mongo?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return [
    { name: "SQLite", open: async () => openSqliteRecords(folder) },
    ...(mongo ? [{ name: "MongoDB", open: () => openMongoRecords(mongo.uri) }] : []),
  ];
}
