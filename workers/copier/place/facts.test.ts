import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { CopyPlan } from "../../../domain/copier/plan.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startFakeBroker, type FakeBroker } from "../../../tests/support/fake-broker.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { readFacts } from "./facts.ts";

const FIXED = { kind: "fixed", stakeCents: 100 } as const;
const SHARE = { kind: "balance", shareBp: 100 } as const;

let redis: ScriptRedis;
let broker: FakeBroker;
beforeAll(async () => {
  redis = await startScriptRedis();
  broker = await startFakeBroker({
    deduplicates: "account",
    lookUp: "authoritative",
    validUntil: "enforced",
  });
});
afterAll(async () => {
  await broker.stop();
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await broker.misbehave({});
});

const facts = (plans: Readonly<Record<string, CopyPlan>>, deadlineMs = Date.now() + 5_000) =>
  readFacts(
    { redis: redis.client, broker: broker.broker, partition: 0, clock: SYSTEM_CLOCK },
    jobOf(acceptedOpen({ deadlineMs })),
    Object.entries(plans).map(([name, plan]) => memberOf(name, { plan })),
  );

describe("what a shard's plans ask for", () => {
  test("is the time alone where they ask for nothing: a broker that is away costs nothing then", async () => {
    await broker.misbehave({ dead: true });
    const found = await facts({ ann: { sizing: FIXED, maxStakeCents: 5, symbols: ["EUR/USD"] } });
    expect(Object.keys(found)).toEqual(["nowMs"]);
  });

  test("is the balance of accounts of which a share is staked, where the broker knows them", async () => {
    await broker.deposit(["ann-acct", "carl-acct"], 5_000);
    const { balances } = await facts({
      ann: { sizing: SHARE },
      bob: { sizing: SHARE },
      carl: { sizing: FIXED },
    });
    expect(new Map(balances as ReadonlyMap<string, number>)).toEqual(
      new Map([["ann-acct", 5_000]]),
    );
  });

  test("is the payout of the symbol that is traded, by the broker's name of it", async () => {
    const { payoutsBp } = await facts({
      ann: { sizing: FIXED, minPayoutBp: 1, symbolMap: { "EUR/USD": "GBP/USD" } },
      carl: { sizing: FIXED },
    });
    expect([...(payoutsBp?.keys() ?? [])]).toEqual(["GBP/USD"]);
  });

  test("is the usage of followers with caps, and of nobody else", async () => {
    await redis.send("HSET", new RegionKeys(0).usage("fake"), "ann", "1,2,3,4,5", "carl", "x");
    const { usages } = await facts({
      ann: { sizing: FIXED, maxOpen: 1 },
      bob: { sizing: FIXED, maxDayLossCents: 1 },
      carl: { sizing: FIXED },
    });
    expect(new Map(usages as ReadonlyMap<string, string>)).toEqual(
      new Map([
        ["ann", "1,2,3,4,5"],
        ["bob", ""],
      ]),
    );
  });
});

describe("a broker that does not answer", () => {
  test("is asked again until the deadline, and what it did not say by then has no value", async () => {
    await broker.misbehave({ dead: true });
    const deadlineMs = Date.now() + 200;
    const { balances, nowMs } = await facts({ ann: { sizing: SHARE } }, deadlineMs);
    expect(balances?.size).toBe(0);
    // A decision is not older than what it rests on.
    expect(nowMs).toBeGreaterThan(deadlineMs);
  });

  test("and comes back before the deadline is heard", async () => {
    await broker.deposit(["dora-acct"], 7_000);
    await broker.misbehave({ dead: true });
    const asked = facts({ dora: { sizing: SHARE } });
    await broker.misbehave({});
    expect([...((await asked).balances?.values() ?? [])]).toEqual([7_000]);
  });

  test("is asked once by a job that comes too late: it may be one that comes again", async () => {
    await broker.deposit(["emma-acct"], 9_000);
    const { balances } = await facts({ emma: { sizing: SHARE } }, Date.now() - 60_000);
    expect([...(balances?.values() ?? [])]).toEqual([9_000]);
  });
});
