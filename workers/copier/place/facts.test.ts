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

describe("the facts that a shard's plans need", () => {
  test("are only the time if they need nothing: then a broker that is away does not matter", async () => {
    await broker.misbehave({ dead: true });
    const found = await facts({ ann: { sizing: FIXED, maxStakeCents: 5, symbols: ["EUR/USD"] } });
    expect(Object.keys(found)).toEqual(["nowMs"]);
  });

  test("are the balances of accounts of which a share is staked, if the broker knows them", async () => {
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

  test("are the payout of the traded symbol, by the broker's name", async () => {
    const { payoutsBp } = await facts({
      ann: { sizing: FIXED, minPayoutBp: 1, symbolMap: { "EUR/USD": "GBP/USD" } },
      carl: { sizing: FIXED },
    });
    expect([...(payoutsBp?.keys() ?? [])]).toEqual(["GBP/USD"]);
  });

  test("are the usage of followers with caps, and of no others", async () => {
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
  test("is asked again until the deadline, and an answer that is missing then has no value", async () => {
    await broker.misbehave({ dead: true });
    const deadlineMs = Date.now() + 200;
    const { balances, nowMs } = await facts({ ann: { sizing: SHARE } }, deadlineMs);
    expect(balances?.size).toBe(0);
    // A decision is not older than its facts.
    expect(nowMs).toBeGreaterThan(deadlineMs);
  });

  test("is used if it answers before the deadline", async () => {
    await broker.deposit(["dora-acct"], 7_000);
    await broker.misbehave({ dead: true });
    const asked = facts({ dora: { sizing: SHARE } });
    await broker.misbehave({});
    expect([...((await asked).balances?.values() ?? [])]).toEqual([7_000]);
  });

  test("is asked once by a late job, which may be a repeated one", async () => {
    await broker.deposit(["emma-acct"], 9_000);
    const { balances } = await facts({ emma: { sizing: SHARE } }, Date.now() - 60_000);
    expect([...(balances?.values() ?? [])]).toEqual([9_000]);
  });
});
