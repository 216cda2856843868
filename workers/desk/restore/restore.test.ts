/**
 * What must not happen while a partition is restored: a change that the desk makes
 * meanwhile is undone.
 */
import { clear } from "../../../tests/support/redis.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { AccountBook } from "../accounts/book.ts";
import { executeCommands } from "../accounts/execute.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { AuditStore } from "../audit/port.ts";
import { openSqliteAudit } from "../audit/sqlite.ts";
import { allEntries } from "./entries.ts";
import { restorePartition, type Restored } from "./restore.ts";

const desk = new DeskKeys(1);

let folder: string;
let store: AuditStore;
const { redis } = await openRedis();
beforeEach(async () => {
  await clear(redis);
  folder = mkdtempSync(join(tmpdir(), "fanfare-restore-"));
  store = openSqliteAudit(folder);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function add(user: string): Promise<void> {
  const call = { partition: 1, partitions: 2, server: "d" };
  const plain = { symbol: "", cents: 100, priceCents: 0, quoteTimeMs: 0, session: "", n: 0 };
  await executeCommands(new AccountBook(redis, call), [{ name: "ADD", user, ...plain }], 1_000);
}

const restore = (from: AuditStore, force = false): Promise<Restored> =>
  restorePartition(
    {
      redis,
      store: from,
      partitions: new PartitionMap(2),
      server: "restore",
      force,
      nowMs: Date.now(),
    },
    1,
  );

const balances = async (): Promise<unknown> => redis.send("HGETALL", [desk.balances]);

test.each([false, true])(
  "what the desk does while its audit is read is preserved, forced or not (%p)",
  async (force) => {
    await add("before");
    await redis.send("HSET", [desk.balances, "before", "7"]);
    /** The desk works right after the audit was read. */
    const meanwhile: AuditStore = {
      ...store,
      async *read(range) {
        yield* store.read(range);
        await add("meanwhile");
      },
    };
    expect(await restore(meanwhile, force)).toEqual({ partition: 1, kind: "moved" });
    expect(await balances()).toEqual({ before: "7", meanwhile: "100" });
    expect(await restore(store, force)).toMatchObject({ kind: "restored", differences: 1 });
    expect(await balances()).toEqual({ before: "100", meanwhile: "100" });
    expect(await restore(store, force)).toMatchObject({ kind: "intact" });
  },
);

test("of several restores at once, one succeeds, and its keys do not expire", async () => {
  for (let count = 0; count < 50; count += 1) await add(`user${count}`);
  const before = await balances();
  await redis.send("DEL", [desk.balances]);
  const restored = await Promise.all([restore(store), restore(store), restore(store)]);
  expect(restored.map(({ kind }) => kind).toSorted()).toEqual(["moved", "moved", "restored"]);
  expect(await balances()).toEqual(before);
  expect(await redis.send("PTTL", [desk.balances])).toBe(-1);
  expect(await restore(store)).toMatchObject({ kind: "intact" });
});

test("an entry that is both stored and in the stream counts once, in its place", async () => {
  await store.append(
    ["9-0", "5-1", "5-0"].map((id) => ({ partition: 3, id, fields: new Map([["at", "1"]]) })),
  );
  for (const id of ["5-1", "7-0", "9-0", "12-0"]) {
    await redis.send("XADD", [new DeskKeys(3).audit, id, "at", "1"]);
  }
  const found = await Array.fromAsync(allEntries(store, redis, 3), ({ id }) => id);
  expect(found).toEqual(["5-0", "5-1", "7-0", "9-0", "12-0"]);
});

test("after a restore a repeated command is executed once, and its number fits no other command", async () => {
  const call = { partition: 1, partitions: 2, server: "d" };
  const once = { symbol: "", priceCents: 0, quoteTimeMs: 0, session: "/s", n: 1 };
  const send = async (cents: number) =>
    await executeCommands(
      new AccountBook(redis, call),
      [{ name: "ADD", user: "u", cents, ...once }],
      1_000,
    );
  const first = await send(100);
  await redis.send("DEL", [desk.sessions, desk.balances]);
  expect(await restore(store)).toMatchObject({ kind: "restored" });
  expect(await send(100)).toEqual(first);
  expect(await send(200)).toMatchObject([{ refusal: "COMMAND_NUMBER_REUSED" }]);
  expect(await balances()).toEqual({ u: "100" });
});
