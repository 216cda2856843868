import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { clientOrderId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startFakeBroker, type FakeBroker } from "../../../tests/support/fake-broker.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import type { OrderBatch } from "../brokers/port.ts";
import { setHalt, type HaltAction, type HaltScope } from "../stored/halt.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { Allowance } from "./allowance.ts";
import { edge, placeGated, type GateParts } from "./gate.ts";
import { HaltCache } from "./halt-cache.ts";
import type { Placement } from "./place.ts";

let redis: ScriptRedis;
let broker: FakeBroker;
let signals = 0;
beforeAll(async () => {
  redis = await startScriptRedis();
  broker = await startFakeBroker({
    deduplicates: "account",
    lookUp: "authoritative",
    validUntil: "enforced",
  });
  await broker.deposit(["ann-acct", "bob-acct", "carl-acct"], 1_000_000);
});
afterAll(async () => {
  await broker.stop();
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

const set = (action: HaltAction, scope: HaltScope) =>
  redis.run(setHalt, { key: new RegionKeys(0).halts, scope, action });

interface How {
  readonly maybeSent?: boolean;
  /** How long there is to send. */
  readonly forMs?: number;
  readonly allowance?: Allowance;
}

/** Places an order of a new signal for each of these; answers how they ended, and who is on the broker's book. */
async function send(
  names: readonly string[],
  { maybeSent = false, forMs = 120, allowance }: How = {},
) {
  signals += 1;
  const acceptedAtMs = Date.now();
  const signal = acceptedOpen({
    id: signalIdOf(signals),
    acceptedAtMs,
    deadlineMs: acceptedAtMs + forMs,
  });
  const members = names.map((name) => memberOf(name));
  const batch: OrderBatch = {
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds: 60,
    shard: 0,
    validUntilMs: signal.deadlineMs,
    orders: members.map(({ subscription, account }) => ({
      clientOrderId: clientOrderId(signal.id, subscription),
      subscription,
      account,
      stakeCents: 100,
    })),
  };
  const parts: GateParts = {
    broker: broker.broker,
    halts: new HaltCache(redis.client),
    allowance,
    partition: 0,
    clock: SYSTEM_CLOCK,
  };
  const job = jobOf(signal);
  const history = { decidedAtMs: acceptedAtMs, maybeSent };
  const placement = await placeGated(parts, { job, members }, batch, history);
  const booked = broker.book().filter((line) => line.clientOrderId.startsWith(signal.id));
  return {
    placement,
    told: placement.outcomes.map((outcome) =>
      outcome.kind === "skipped" ? outcome.reason : outcome.kind,
    ),
    booked: booked.map(({ clientOrderId: id }) => id.slice(signal.id.length + 1)).toSorted(),
  };
}

describe("before an order may leave again (P4)", () => {
  test.each([
    ["halt", "platform", "HALTED"],
    ["halt", "broker:desk", "HALTED"],
    ["drain", "channel:demo", "DRAINED"],
    ["drain", "provider:provider", "DRAINED"],
  ] as const)(
    "a %s of %s holds it, and says so once it was never opened",
    async (action, scope, reason) => {
      await set(action, scope);
      const { told, booked, placement } = await send(["ann"], { maybeSent: true });
      expect(told).toEqual([reason]);
      expect(booked).toEqual([]);
      expect(placement.sentAtMs).toBeNull();
    },
  );

  test("a halt of one follower holds theirs, and is not told of the others", async () => {
    await set("halt", "follower:ann-person");
    const { told, booked } = await send(["ann", "bob"], { maybeSent: true });
    expect(told[0]).toBe("HALTED");
    expect(told[1]).not.toBe("HALTED");
    expect(booked).not.toContain("ann");
  });

  test("a halt that is lifted before the deadline lets it leave", async () => {
    await set("halt", "platform");
    const sending = send(["ann"], { maybeSent: true, forMs: 5_000 });
    await set("lift", "platform");
    expect((await sending).told).toEqual(["placed"]);
  });

  test("halts that cannot be read let nothing through", async () => {
    await redis.send("SET", new RegionKeys(0).halts, "no hash");
    const { told, booked } = await send(["ann"], { maybeSent: true });
    expect(told).toEqual(["TOO_LATE"]);
    expect(booked).toEqual([]);
  });
});

test("the first send of new intents looks at no halts: their script has just compared them", async () => {
  await set("halt", "platform");
  const { told, booked } = await send(["ann", "bob"]);
  expect(told).toEqual(["placed", "placed"]);
  expect(booked).toEqual(["ann", "bob"]);
});

describe("a broker with a rate", () => {
  test("gets no more at once than it allows, and answers come in the order of the batch", async () => {
    const allowance = new Allowance(redis.client, SYSTEM_CLOCK, "fake", 10);
    expect(allowance.slice).toBe(1);
    const names = ["ann", "nobody", "carl"];
    const { told, placement } = await send(names, { allowance, forMs: 5_000 });
    expect(told).toEqual(["placed", "rejected", "placed"]);
    expect(placement.sentAtMs ?? 0).toBeLessThanOrEqual(placement.answeredAtMs ?? 0);
  });

  test("is sent nothing that finds no turn before its deadline", async () => {
    const allowance = new Allowance(redis.client, SYSTEM_CLOCK, "fake", 1);
    const { told, booked } = await send(["ann", "bob", "carl"], { allowance, forMs: 200 });
    expect(told.toSorted()).toEqual(["TOO_LATE", "TOO_LATE", "placed"]);
    expect(booked).toHaveLength(1);
  });
});

test("several placements were sent when the first was, and answered when the last was", () => {
  const at = (sentAtMs: number | null, answeredAtMs: number | null): Placement => ({
    outcomes: [],
    sentAtMs,
    answeredAtMs,
  });
  const all = [at(5, 9), at(null, null), at(3, 12)];
  expect(edge(all, "sentAtMs", Math.min)).toBe(3);
  expect(edge(all, "answeredAtMs", Math.max)).toBe(12);
  expect(edge([at(null, null)], "sentAtMs", Math.min)).toBeNull();
});
