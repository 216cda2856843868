/** A broker that takes one unanswered order of an account at a time, and two workers beside it. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { SignalId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import {
  PARTITIONS,
  readOutcomes,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import {
  isOverlooked,
  startFakeBroker,
  type FakeBroker,
} from "../../../tests/support/fake-broker.ts";
import { startRedis, type TestRedis, untilOldEnough } from "../../../tests/support/redis.ts";
import { startRoles, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 24;
const SIGNALS = 6;

let redis: TestRedis;
let broker: FakeBroker;
let copier: Copier;
let workers: RoleProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
  // Its look-up overlooks a third of all orders, so they stay unknown.
  broker = await startFakeBroker({ deduplicates: "none", lookUp: "hint", validUntil: "enforced" });
  const { deposit } = broker;
  copier = await startCopier({ redisUrl: redis.url, deposit }, FOLLOWERS, { broker: "fake" });
  await startWorkers();
  await kinds(await copier.send());
  await stopWorkers();
  await untilOldEnough();
});
afterEach(async () => {
  await broker.misbehave({});
  await stopWorkers();
});
afterAll(async () => {
  copier.stop();
  await broker.stop();
  await redis.stop();
});

async function stopWorkers(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
}

async function startWorkers(ordersPerAccount?: number): Promise<void> {
  const { FANFARE_BROKER_CAPABILITIES: stated = "{}", ...env } = broker.env();
  const capabilities = { ...(JSON.parse(stated) as object), ordersPerAccount };
  const all = {
    ...env,
    FANFARE_REDIS_URL: redis.url,
    FANFARE_PARTITIONS: "4",
    FANFARE_BROKER_CAPABILITIES: JSON.stringify(capabilities),
  };
  workers = await startRoles("broker", all, ["one", "two"]);
}

/** The result: subscription → its last outcome. */
async function kinds(id: SignalId): Promise<ReadonlyMap<string, string>> {
  await copier.complete(id);
  const outcomes = await readOutcomes(copier.redis, id);
  return new Map([...outcomes].map(([subscription, each]) => [subscription, each.at(-1) ?? ""]));
}

function countKinds(outcomes: ReadonlyMap<string, string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of outcomes.values()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** Accounts with a taken place, in all partitions. */
async function placesTaken(): Promise<number> {
  const counts = await Promise.all(
    PARTITIONS.all().map((each) =>
      copier.redis.send("HLEN", [new RegionKeys(each).places("fake")]),
    ),
  );
  return (counts as number[]).reduce((sum, each) => sum + each, 0);
}

async function sendMany(): Promise<ReadonlyMap<string, string>[]> {
  await broker.misbehave({ afterMs: 200 });
  await broker.crowd();
  const ids = await Promise.all(Array.from({ length: SIGNALS }, () => copier.send()));
  return await Promise.all(ids.map(kinds));
}

test("the broker never has more unanswered orders of an account than it takes, and the rest are skipped for that", async () => {
  await startWorkers(1);
  const all = await sendMany();
  expect(await broker.crowd()).toBe(1);
  const counts = all.map(countKinds);
  const sum = (kind: string) => counts.reduce((total, each) => total + (each[kind] ?? 0), 0);
  expect(sum("placed")).toBeGreaterThanOrEqual(FOLLOWERS);
  expect(sum("skipped: ACCOUNT_BUSY")).toBeGreaterThan(0);
  expect(sum("placed") + sum("skipped: ACCOUNT_BUSY")).toBe(SIGNALS * FOLLOWERS);
  // All of them are answered.
  expect(await placesTaken()).toBe(0);
  await broker.misbehave({});
  expect(countKinds(await kinds(await copier.send()))).toEqual({ placed: FOLLOWERS });
});

test("without a limit it has more, and no places are taken", async () => {
  await startWorkers();
  const all = await sendMany();
  expect(await broker.crowd()).toBeGreaterThan(1);
  for (const each of all) expect(countKinds(each)).toEqual({ placed: FOLLOWERS });
  expect(await placesTaken()).toBe(0);
});

test("an order that stays unknown keeps its place, and no other follower's", async () => {
  await startWorkers(1);
  await broker.misbehave({ silent: 1 });
  const id = await copier.send();
  const first = await kinds(id);
  const unknown = [...first.keys()].filter((each) => isOverlooked(`${id}.${each}`));
  expect(unknown.length).toBeGreaterThan(0);
  expect(unknown.length).toBeLessThan(FOLLOWERS);
  await until("only they hold one", async () => (await placesTaken()) === unknown.length);
  expect(countKinds(await kinds(id))).toEqual({
    placed: FOLLOWERS - unknown.length,
    unknown: unknown.length,
  });
  await broker.misbehave({});
  const second = await kinds(await copier.send());
  for (const [subscription, kind] of second) {
    expect([subscription, kind]).toEqual([
      subscription,
      unknown.includes(subscription) ? "skipped: ACCOUNT_BUSY" : "placed",
    ]);
  }
});
