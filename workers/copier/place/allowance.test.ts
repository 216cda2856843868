import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { Allowance } from "./allowance.ts";
import { lease, rateKey } from "./allowance.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

const take = (wanted: number, ordersPerSecond = 100) =>
  redis.run(lease, { broker: "fake", ordersPerSecond, wanted });

/** Behaves as if that much time had passed since the last lease. */
async function pass(ms: number): Promise<void> {
  const at = Number(await redis.send("HGET", rateKey("fake"), "at"));
  await redis.send("HSET", rateKey("fake"), "at", String(at - ms));
}

test("one second of the rate is available at first, and no more is granted than is available", async () => {
  expect(await take(60)).toMatchObject({ granted: 60 });
  const { granted, waitMs } = await take(100);
  // A little more may have been added meanwhile.
  expect(granted).toBeGreaterThanOrEqual(40);
  expect(granted).toBeLessThan(100);
  expect(waitMs).toBeGreaterThan(0);
  expect(waitMs).toBeLessThanOrEqual(10);
});

test("the bucket fills with time, up to one second of the rate", async () => {
  await take(100);
  await pass(500);
  const { granted } = await take(100);
  expect(granted).toBeGreaterThanOrEqual(50);
  expect(granted).toBeLessThan(100);
  await pass(60_000);
  expect((await take(1_000)).granted).toBe(100);
});

test("a rate below one a second lets one order be sent, and then says how long to wait", async () => {
  expect(await take(1, 0.5)).toMatchObject({ granted: 1 });
  const { granted, waitMs } = await take(1, 0.5);
  expect(granted).toBe(0);
  expect(waitMs).toBeGreaterThan(1_500);
  expect(waitMs).toBeLessThanOrEqual(2_000);
});

test("each broker has its own rate", async () => {
  await take(100);
  const other = { broker: "desk", ordersPerSecond: 100, wanted: 100 };
  expect((await redis.run(lease, other)).granted).toBe(100);
});

describe("a worker's part of the rate", () => {
  let nowMs = 0;
  let allowance: Allowance;
  beforeEach(() => {
    nowMs = 1_000_000;
    const clock = { nowMs: () => nowMs, sleep: async () => {} };
    allowance = new Allowance(redis.client, clock, "fake", 100);
  });

  test("is leased in slices, and an unused slice expires after a second", async () => {
    expect(allowance.slice).toBe(10);
    expect(await allowance.take(7)).toBe(0);
    // Three are left, so these do not ask Redis.
    await redis.clear();
    nowMs += 1_000;
    expect(await allowance.take(1)).toBe(0);
    expect(await redis.send("EXISTS", rateKey("fake"))).toBe(0);
    nowMs += 1;
    expect(await allowance.take(1)).toBe(0);
    expect(await redis.send("EXISTS", rateKey("fake"))).toBe(1);
  });

  test("that is used up says when to try again, and Redis is not asked before", async () => {
    await take(100);
    const waitMs = await allowance.take(50);
    expect(waitMs).toBeGreaterThan(0);
    const asked = await redis.hash(rateKey("fake"));
    expect(await allowance.take(50)).toBe(waitMs);
    expect(await redis.hash(rateKey("fake"))).toEqual(asked);
    nowMs += waitMs;
    await pass(1_000);
    expect(await allowance.take(50)).toBe(0);
  });
});
