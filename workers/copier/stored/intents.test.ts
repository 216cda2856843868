import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import { formatUsage, parseUsage } from "../../../domain/copier/caps.ts";
import { keptMs } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import type { OrderReservation } from "./caps.ts";
import {
  abandon,
  intend,
  parseStoredJob,
  STORED_JOB_FIELDS,
  type IntendArgs,
  type Intents,
} from "./intents.ts";
import { CLOCK_SKEW_MS, runSince } from "./run.ts";

const REGION = new RegionKeys(0);
const [ANN, BOB] = ["ann", "bob"].map((each) => each as SubscriptionId) as [
  SubscriptionId,
  SubscriptionId,
];
const ACCOUNT = "acct" as AccountId;

let redis: ScriptRedis;
let sinceMs: number;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  sinceMs = await redis.run(runSince, { partition: 0 });
  const signal = acceptedOpen();
  await redis.send("HSET", REGION.rosterHead(signal.channel, "desk"), "version:0", "7");
});

/** Of a signal that is younger than this Redis' run, as nearly all are. */
const young = (laterMs = 60_000) => {
  const acceptedAtMs = sinceMs + laterMs;
  return jobOf(acceptedOpen({ acceptedAtMs, deadlineMs: acceptedAtMs + 1_000 }));
};

const intents = (...orders: Intents["orders"]): Intents => ({
  decidedAtMs: sinceMs,
  orders,
  skips: [[BOB, ACCOUNT, "PAUSED"]],
});

const argsOf = (changes: Partial<IntendArgs> = {}): IntendArgs => ({
  partition: 0,
  job: young(),
  shardVersion: 7,
  haltsVersion: "0",
  layersVersion: "0",
  intents: intents([ANN, ACCOUNT, 100]),
  ...changes,
});

const send = (changes: Partial<IntendArgs> = {}) => redis.run(intend, argsOf(changes));

const keyOf = ({ job }: IntendArgs) => REGION.job(job.signal.id, job.broker, job.shard);

const stored = async (args = argsOf()) =>
  parseStoredJob(await redis.send("HMGET", keyOf(args), ...STORED_JOB_FIELDS));

/** What is said of intents that must not have been written. */
async function refused(changes: Partial<IntendArgs>) {
  const before = await redis.everything();
  const reply = await send(changes);
  expect(await redis.everything()).toEqual(before);
  return reply;
}

describe("intents are written", () => {
  test("once, for the worker that may send", async () => {
    expect(await send()).toEqual({ kind: "new" });
    expect(await stored()).toEqual({ intents: intents([ANN, ACCOUNT, 100]), unknown: [] });
  });

  test("and kept until nothing of the signal can be open", async () => {
    const args = argsOf();
    await send();
    const leftMs = Number(await redis.send("PTTL", keyOf(args)));
    expect(leftMs).toBeLessThanOrEqual(keptMs(args.job.signal));
    expect(leftMs).toBeGreaterThan(keptMs(args.job.signal) - 5_000);
  });

  test("apart for each shard and broker of a signal", async () => {
    await send();
    const other = { ...young(), broker: "fake" };
    await redis.send("HSET", REGION.rosterHead(other.signal.channel, "fake"), "version:0", "7");
    expect(await send({ job: other })).toEqual({ kind: "new" });
  });
});

describe("a job that was here before", () => {
  test("finds the intents of then, whatever it would decide now", async () => {
    await send();
    const now = { intents: intents([ANN, ACCOUNT, 999]), shardVersion: 8, haltsVersion: "9" };
    expect(await refused(now)).toEqual({ kind: "known", intents: intents([ANN, ACCOUNT, 100]) });
  });

  test("and whose outcomes are written is over", async () => {
    await send();
    await redis.send("HSET", keyOf(argsOf()), "outcomes", "1");
    expect(await refused({ shardVersion: 8 })).toEqual({ kind: "over" });
  });
});

describe("what was decided under something that has changed is stale", () => {
  test("a shard, or a roster that is gone", async () => {
    expect(await refused({ shardVersion: 6 })).toEqual({ kind: "stale" });
    await redis.send("DEL", REGION.rosterHead(acceptedOpen().channel, "desk"));
    expect(await refused({})).toEqual({ kind: "stale" });
  });

  test("but not a roster that was never there: a job does not come again for ever", async () => {
    await redis.send("DEL", REGION.rosterHead(acceptedOpen().channel, "desk"));
    expect(await send({ shardVersion: 0 })).toEqual({ kind: "new" });
  });

  test("halts (P4)", async () => {
    await redis.send("HSET", REGION.halts, "platform", "halt", "version", "12");
    expect(await refused({})).toEqual({ kind: "stale" });
    expect(await send({ haltsVersion: "12" })).toEqual({ kind: "new" });
  });

  test("settings above the followers", async () => {
    await redis.send("HSET", REGION.layers, "version", "12");
    expect(await refused({})).toEqual({ kind: "stale" });
    expect(await send({ layersVersion: "12" })).toEqual({ kind: "new" });
  });
});

describe("a job whose signal is older than its Redis' run", () => {
  test("is told so, up to what clocks may differ: its intents may be lost", async () => {
    expect(await refused({ job: young(CLOCK_SKEW_MS) })).toEqual({ kind: "older" });
    expect(await send({ job: young(CLOCK_SKEW_MS + 1) })).toEqual({ kind: "new" });
  });

  test("is written once it was decided as of its acceptance", async () => {
    expect(await send({ job: young(-60_000), older: true })).toEqual({ kind: "new" });
  });
});

describe("a job that is abandoned", () => {
  const asked = intents([ANN, ACCOUNT, 100, { askOnly: "FAULT" }]);
  const give = (job = young()) =>
    redis.run(abandon, { partition: 0, job, intents: intents(), asked });

  test("is found by others as one of which no order leaves", async () => {
    expect(await give()).toEqual({ kind: "new" });
    expect(await send()).toEqual({ kind: "known", intents: intents() });
  });

  test("leaves the intents of before as they are", async () => {
    await send();
    expect(await give()).toEqual({ kind: "known", intents: intents([ANN, ACCOUNT, 100]) });
    await redis.send("HSET", keyOf(argsOf()), "outcomes", "1");
    expect(await give()).toEqual({ kind: "over" });
  });

  test("and may have been sent before this Redis' run is asked about, also once it comes again", async () => {
    expect(await give(young(-60_000))).toEqual({ kind: "older" });
    expect(await give(young(-60_000))).toEqual({ kind: "known", intents: asked });
  });
});

describe("followers with caps", () => {
  const before = formatUsage({ day: 1, stakedCents: 5, open: 1, lossCents: 0, revision: 3 });
  const after = formatUsage({ day: 1, stakedCents: 105, open: 2, lossCents: 0, revision: 4 });
  const reservationOf = (subscription: SubscriptionId, from: string): OrderReservation => ({
    ...{ subscription, before: from, after, day: 1, stakeCents: 100 },
    clientOrderId: clientOrderId(acceptedOpen().id, subscription),
  });
  const usage = (subscription: string) => redis.send("HGET", REGION.usage("desk"), subscription);

  test("reserve their part in the same step, from nothing or from what was read", async () => {
    await redis.send("HSET", REGION.usage("desk"), ANN, before);
    const reservations = [reservationOf(ANN, before), reservationOf(BOB, "")];
    expect(await send({ reservations })).toEqual({ kind: "new" });
    expect(parseUsage(String(await usage(ANN)))).toEqual(parseUsage(after));
    expect(await usage(BOB)).toBe(after);
    expect(await redis.hash(REGION.reserved("desk"))).toEqual({
      [clientOrderId(acceptedOpen().id, ANN)]: "100,1",
      [clientOrderId(acceptedOpen().id, BOB)]: "100,1",
    });
  });

  test("reserve all or nothing: who was overtaken is told, with what is used now", async () => {
    await redis.send("HSET", REGION.usage("desk"), ANN, before);
    const reservations = [reservationOf(ANN, ""), reservationOf(BOB, "")];
    expect(await refused({ reservations })).toEqual({
      kind: "overtaken",
      usages: new Map([[ANN, before]]),
    });
    // Used and forgotten is as good as never used, and not what was decided on.
    expect(await refused({ reservations: [reservationOf(BOB, before)] })).toEqual({
      kind: "overtaken",
      usages: new Map([[BOB, ""]]),
    });
  });
});

test("a job that is not known, or has no intents, is none", () => {
  expect(parseStoredJob([null, null])).toBeUndefined();
  expect(parseStoredJob([JSON.stringify(intents()), '["ann"]'])).toEqual({
    intents: intents(),
    unknown: [ANN],
  });
});

describe("a Redis that lost its data", () => {
  test("takes no intents until it is filled, and names those that it has", async () => {
    const known = { ...young(), shard: 1 };
    await redis.send("HSET", REGION.rosterHead(known.signal.channel, "desk"), "version:1", "7");
    await send({ job: known });
    await redis.send("HDEL", REGION.header, "regionSinceMs");
    expect(await refused({})).toEqual({ kind: "unfilled" });
    expect(await refused({ job: known })).toMatchObject({ kind: "known" });
  });

  test("may have had intents of all that was accepted before it was filled again, though its run is the same", async () => {
    expect(await send()).toEqual({ kind: "new" });
    // It was flushed and filled after the acceptance.
    await redis.send("DEL", keyOf(argsOf()));
    const filledMs = young().signal.acceptedAtMs;
    await redis.send("HSET", REGION.header, "regionSinceMs", String(filledMs));
    expect(await send()).toEqual({ kind: "older" });
    expect(await send({ older: true })).toEqual({ kind: "new" });
    await redis.send("DEL", keyOf(argsOf()));
    expect(await send({ job: young(60_000 + CLOCK_SKEW_MS + 1) })).toEqual({ kind: "new" });
  });

  test("gives up a job that was accepted before it was filled by asking about its orders", async () => {
    const job = young();
    const asked = intents([ANN, ACCOUNT, 100, { askOnly: "FAULT" }]);
    await redis.send("HSET", REGION.header, "regionSinceMs", String(job.signal.acceptedAtMs));
    const args = { partition: 0, job, intents: intents(), asked };
    expect(await redis.run(abandon, args)).toEqual({ kind: "older" });
    expect(await stored()).toMatchObject({ intents: asked });
  });
});
