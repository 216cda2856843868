import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { AccountId } from "../../../domain/ids.ts";
import { formatKey, PartitionMap } from "../../../redis/keys.ts";
import { startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import type { AuditStore } from "../audit/port.ts";
import { openSqliteAudit } from "../audit/sqlite.ts";
import { deposit } from "../stored/deposit.ts";
import { WHOLE_FIELD } from "../stored/whole.ts";
import { findLost } from "./lost.ts";

const partitions = new PartitionMap(2);
const folder = mkdtempSync(join(tmpdir(), "fanfare-lost-"));
let server: TestRedis;
let redis: Redis;
let store: AuditStore;

beforeAll(async () => {
  server = await startRedis({ filled: false });
  redis = connectRedis(server.url);
  store = openSqliteAudit(folder);
});
afterAll(async () => {
  redis.close();
  await store.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await redis.send("FLUSHALL", []);
});

const put = (partition: number) =>
  run(redis, deposit, {
    partition,
    partitions: 2,
    server: "one",
    deposits: [
      {
        id: "d",
        account: "ann" as AccountId,
        amountCents: 100,
      },
    ],
  }).then(
    () => "done",
    () => "refused",
  );

test("a new desk is opened, and one from before the mark existed is accepted as it is", async () => {
  expect(await put(0)).toBe("refused");
  expect(await findLost(redis, store, partitions)).toEqual([]);
  expect(await put(0)).toBe("done");
  await redis.send("HDEL", [formatKey(0), WHOLE_FIELD]);
  expect(await findLost(redis, store, partitions)).toEqual([]);
});

test("a partition whose accounts are in the audit and not in Redis is lost, and refuses", async () => {
  const entry = (partition: number, fields: readonly (readonly [string, string])[]) => ({
    partition,
    id: `1700000000000-${partition}`,
    fields: new Map(fields),
  });
  await store.append([
    entry(0, [["events", "s,1,up"]]),
    entry(1, [
      ["events", "m,1,DEPOSIT,|d,ann,100;"],
      ["balances", "ann\n100"],
    ]),
  ]);
  expect(await findLost(redis, store, partitions)).toEqual([1]);
  expect(await put(0)).toBe("done");
  expect(await put(1)).toBe("refused");
});
