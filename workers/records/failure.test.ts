/** An error that a driver throws when the records do not answer does not count as a bug. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { startMongo } from "../../tests/support/mongo.ts";
import { Unavailable } from "../runtime/outage.ts";
import { isRecordsFailure } from "./failure.ts";
import { openMongoRecords } from "./mongo/open.ts";
import type { Records } from "./port.ts";
import { openSqliteRecords } from "./sqlite/open.ts";

setDefaultTimeout(60_000);

async function catchError(records: Records): Promise<Error> {
  return await records.people.get("someone").then(
    () => {
      throw new Error("it was read");
    },
    (error: unknown) => error as Error,
  );
}

const server = await startMongo();
test.skipIf(server === undefined)("a MongoDB that is gone is no bug", async () => {
  const records = await openMongoRecords(server!.uri);
  expect(await records.people.get("someone")).toBeUndefined();
  await server!.stop();
  expect(isRecordsFailure(await catchError(records))).toBe(true);
  await records.close();
});

test("an unreadable SQLite file is not a bug", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fanfare-failure-"));
  const records = openSqliteRecords(folder);
  const other = new Database(join(folder, "records.sqlite"));
  other.run("DROP TABLE people");
  expect(isRecordsFailure(await catchError(records))).toBe(true);
  other.close();
  await records.close();
  rmSync(folder, { recursive: true });
});

test("our own mistakes are bugs, with any message", () => {
  expect(isRecordsFailure(new Unavailable())).toBe(true);
  for (const error of [new TypeError("Mongo"), new RangeError("x"), new Error("SQLiteError")]) {
    expect(isRecordsFailure(error)).toBe(false);
  }
});
