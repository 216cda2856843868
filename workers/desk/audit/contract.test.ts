/** The guarantees of the audit store, the same for both drivers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startAuditMongo } from "../../../tests/support/mongo.ts";
import { openMongoAudit } from "./mongo.ts";
import { PAGE, type AuditRange, type AuditStore, type StoredEntry } from "./port.ts";
import { openSqliteAudit } from "./sqlite.ts";

const mongo = await startAuditMongo();
const folder = mkdtempSync(join(tmpdir(), "fanfare-audit-"));
afterAll(async () => {
  await mongo?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const DRIVERS: (readonly [string, () => Promise<AuditStore>])[] = [
  ["SQLite", async () => openSqliteAudit(folder)],
  ...(mongo ? [["MongoDB", () => openMongoAudit(mongo.uri)] as const] : []),
];

function entry(partition: number, id: string, ...users: string[]): StoredEntry {
  const fields = [
    ["users", users.join(" ")],
    ["events", `c,1,ADD,${users[0]},,1,,\n${id} ü`],
  ] as const;
  return { partition, id, fields: new Map(fields) };
}

async function readIds(store: AuditStore, range: AuditRange): Promise<string[]> {
  return (await Array.fromAsync(store.read(range))).map(({ id }) => id);
}

describe.each(DRIVERS.map(([name, open]) => ({ name, open })))("audit in $name", ({ open }) => {
  let store: AuditStore;
  /** A second opening acts as a second process. */
  let other: AuditStore;
  beforeAll(async () => {
    [store, other] = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    await Promise.all([store.close(), other.close()]);
  });

  test("entries are read whole and in the order of their ids, in any order of writing", async () => {
    const entries = ["5-0", "5-12", "5-2", "40-0", "7-0"].map((id) => entry(0, id, "a"));
    await store.append(entries);
    expect(await readIds(other, { partition: 0 })).toEqual(["5-0", "5-2", "5-12", "7-0", "40-0"]);
    const [first] = await Array.fromAsync(other.read({ partition: 0 }));
    expect(first).toEqual(entries[0]!);
  });

  test("an entry written again, by any process, changes nothing", async () => {
    const entries = ["1-0", "2-0", "3-0"].map((id) => entry(1, id, "a"));
    await Promise.all([store.append(entries), other.append(entries.slice(1))]);
    await store.append([...entries, entry(1, "4-0", "b")]);
    expect(await readIds(store, { partition: 1 })).toEqual(["1-0", "2-0", "3-0", "4-0"]);
    await store.append([]);
  });

  test("the first entry of a partition is found, independent of other partitions", async () => {
    await store.append([entry(6, "30-0", "a"), entry(6, "4-0", "b"), entry(8, "1-0", "c")]);
    expect(await other.first(6)).toEqual(entry(6, "4-0", "b"));
    expect(await other.first(7)).toBeUndefined();
  });

  test("a range begins with its first id and ends before its last", async () => {
    await store.append(["1-0", "2-0", "2-1", "3-0"].map((id) => entry(2, id, "a")));
    expect(await readIds(store, { partition: 2, from: "2-0", before: "3-0" })).toEqual([
      "2-0",
      "2-1",
    ]);
    expect(await readIds(store, { partition: 2, from: "2-1" })).toEqual(["2-1", "3-0"]);
    expect(await readIds(store, { partition: 9 })).toEqual([]);
  });

  test("for one user only the minutes are read in which that user did something", async () => {
    const at = (minute: number) => `${minute * 60_000 + 1_000}-0`;
    await store.append([
      entry(3, at(100), "a"),
      entry(3, at(101), "b"),
      entry(3, at(102), "b", "a"),
    ]);
    await other.append([entry(3, at(103), "b"), entry(3, at(104), "a")]);
    expect(await readIds(store, { partition: 3, user: "a" })).toEqual([100, 102, 104].map(at));
    expect(
      await readIds(store, { partition: 3, user: "a", from: at(102), before: at(104) }),
    ).toEqual([at(102)]);
    expect(await readIds(store, { partition: 3, user: "nobody" })).toEqual([]);
    // An entry of a whole shard concerns every user.
    await store.append([entry(3, at(106), "*"), entry(3, at(105), "*")]);
    expect(await readIds(other, { partition: 3, user: "nobody" })).toEqual([105, 106].map(at));
  });

  test("more than a page is read to its end", async () => {
    const ids = Array.from({ length: PAGE * 2 + 1 }, (_, index) => `${index + 1}-0`);
    await store.append(ids.map((id) => entry(4, id, "a")));
    expect(await readIds(store, { partition: 4 })).toEqual(ids);
    expect(await readIds(store, { partition: 4, user: "a" })).toEqual(ids);
  });
});
