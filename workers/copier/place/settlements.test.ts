/** Settlements are read once more if a Redis may have lost some of the events. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { PARTITIONS, startCopier, type Copier } from "../../../tests/support/copier.ts";
import { startFakeBroker, type FakeBroker } from "../../../tests/support/fake-broker.ts";
import { startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 12;

let redis: TestRedis;
let fake: FakeBroker;
let copier: Copier;
let worker: RoleProcess;

beforeAll(async () => {
  redis = await startRedis();
  fake = await startFakeBroker({
    deduplicates: "account",
    lookUp: "authoritative",
    validUntil: "enforced",
  });
  const { deposit } = fake;
  copier = await startCopier({ redisUrl: redis.url, deposit }, FOLLOWERS, { broker: "fake" });
  const env = { FANFARE_REDIS_URL: redis.url, FANFARE_PARTITIONS: String(PARTITIONS.count) };
  worker = await startRole("broker", { ...env, ...fake.env() });
});
afterAll(async () => {
  await worker.stop();
  copier.stop();
  await fake.stop();
  await redis.stop();
});

/** Orders that are settled by an event. */
async function settled(): Promise<number> {
  const orders = new Set<string>();
  for (const partition of PARTITIONS.all()) {
    const entries = await copier.redis.send("XRANGE", [new RegionKeys(partition).events, "-", "+"]);
    for (const [, flat] of entries as [string, string[]][]) {
      const event = JSON.parse(flat[1] ?? "{}") as {
        readonly kind: string;
        readonly settlements?: readonly { readonly clientOrderId: string }[];
      };
      for (const { clientOrderId } of event.settlements ?? []) orders.add(clientOrderId);
    }
  }
  return orders.size;
}

test("events lost with a node, after the cursor was written on another, are written again once it is replaced", async () => {
  await copier.send({ durationSeconds: 1 });
  await until("all are settled", async () => (await settled()) === FOLLOWERS);
  const [cursor, retreat] = [
    new RegionKeys(0).settlementCursor("fake"),
    new RegionKeys(0).settlementRetreat("fake"),
  ];
  await until("the cursor has moved", async () => {
    return Number(await copier.redis.send("GET", [cursor])) === FOLLOWERS;
  });
  await until("and is remembered", () => copier.redis.send("EXISTS", [retreat]));

  // Like a replica that did not receive them, and has its own run id.
  for (const partition of PARTITIONS.all().slice(1)) {
    const { events, run } = new RegionKeys(partition);
    await copier.redis.send("DEL", [events]);
    await copier.redis.send("HSET", [run, "id", "another", "sinceMs", "1"]);
  }
  expect(await settled()).toBeLessThan(FOLLOWERS);
  await until("all are settled again", async () => (await settled()) === FOLLOWERS);
});
