import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Copy } from "../../../domain/copier/copy.ts";
import { clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import { keptMs } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { makeCopy, makeSkippedCopy } from "../../../tests/support/copies.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import {
  abandon,
  intend,
  packIntents,
  parseStoredJob,
  readCopies,
  STORED_JOB_FIELDS,
  type IntendArgs,
  type Intents,
} from "./intents.ts";
import { NO_LAYERS } from "./layers.ts";
import { CLOCK_SKEW_MS, runSince } from "./run.ts";

const REGION = new RegionKeys(0);
const [ANN, BOB] = ["ann", "bob"].map((each) => each as SubscriptionId) as [
  SubscriptionId,
  SubscriptionId,
];
const ACCOUNT = "acct" as AccountId;
const ID = acceptedOpen().id;

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

/** A job of a signal younger than this Redis' run, as nearly all are. */
const young = (laterMs = 60_000) => {
  const acceptedAtMs = sinceMs + laterMs;
  return jobOf(acceptedOpen({ acceptedAtMs, deadlineMs: acceptedAtMs + 1_000 }));
};

/** The copies as they are stored. */
const intents = (...orders: Intents["orders"]): Intents => ({
  decidedAtMs: sinceMs,
  orders,
  skips: [[BOB, ACCOUNT, "PAUSED"]],
});

/** Their copies, and one of Bob's that was skipped. */
const decided = (...copies: Copy[]) => ({
  decidedAtMs: sinceMs,
  copies: [...copies, { ...makeSkippedCopy(ID, "bob", "PAUSED"), account: ACCOUNT }],
});
const ann = (changes: Partial<Copy> = {}) => makeCopy(ID, "ann", { account: ACCOUNT, ...changes });

const makeArgs = (changes: Partial<IntendArgs> = {}): IntendArgs => ({
  partition: 0,
  job: young(),
  shardVersion: 7,
  haltsVersion: "0",
  layersVersion: NO_LAYERS,
  decided: decided(ann()),
  ...changes,
});

const send = (changes: Partial<IntendArgs> = {}) => redis.run(intend, makeArgs(changes));

const jobKey = ({ job }: IntendArgs) => REGION.job(job.signal.id, job.broker, job.shard);

const stored = async (args = makeArgs()) =>
  parseStoredJob(await redis.send("HMGET", jobKey(args), ...STORED_JOB_FIELDS));

/** The reply to intents that must not be written. */
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

  test("and stored until nothing of the signal can be open", async () => {
    const args = makeArgs();
    await send();
    const leftMs = Number(await redis.send("PTTL", jobKey(args)));
    expect(leftMs).toBeLessThanOrEqual(keptMs(args.job.signal));
    expect(leftMs).toBeGreaterThan(keptMs(args.job.signal) - 5_000);
  });

  test("separately for each shard and broker of a signal", async () => {
    await send();
    const other = { ...young(), broker: "fake" };
    await redis.send("HSET", REGION.rosterHead(other.signal.channel, "fake"), "version:0", "7");
    expect(await send({ job: other })).toEqual({ kind: "new" });
  });
});

describe("a job that was here before", () => {
  test("finds the earlier intents, even if it would decide differently now", async () => {
    await send();
    const now = { decided: decided(ann({ stakeCents: 999 })), shardVersion: 8, haltsVersion: "9" };
    expect(await refused(now)).toEqual({ kind: "known", intents: intents([ANN, ACCOUNT, 100]) });
  });

  test("whose outcomes are written is over", async () => {
    await send();
    await redis.send("HSET", jobKey(makeArgs()), "outcomes", "1");
    expect(await refused({ shardVersion: 8 })).toEqual({ kind: "over" });
  });
});

describe("a decision is stale if one of these has changed", () => {
  test("a shard, or a roster that is gone", async () => {
    expect(await refused({ shardVersion: 6 })).toEqual({ kind: "stale" });
    await redis.send("DEL", REGION.rosterHead(acceptedOpen().channel, "desk"));
    expect(await refused({})).toEqual({ kind: "stale" });
  });

  test("but not a roster that never existed: a job does not return forever", async () => {
    await redis.send("DEL", REGION.rosterHead(acceptedOpen().channel, "desk"));
    expect(await send({ shardVersion: 0 })).toEqual({ kind: "new" });
  });

  test("halts (P4)", async () => {
    await redis.send("HSET", REGION.halts, "platform", "halt", "version", "12");
    expect(await refused({})).toEqual({ kind: "stale" });
    expect(await send({ haltsVersion: "12" })).toEqual({ kind: "new" });
  });

  test("settings above the followers, but only those of this job", async () => {
    const [one, two] = ['1,{"plan":{},"paused":true}', '2,{"plan":{},"paused":true}'];
    await redis.send("HSET", REGION.layers, "channel:another", one, "version", "12");
    await redis.send("HSET", REGION.layers, "provider:another", one, "broker:desk", one);
    await redis.send("HSET", REGION.layers, "channel:demo", one);
    const layersVersion = `\n\n${one}`;
    expect(await refused({})).toEqual({ kind: "stale" });
    for (const scope of ["platform", "provider:provider", "channel:demo"]) {
      const { [scope]: before } = await redis.hash(REGION.layers);
      await redis.send("HSET", REGION.layers, scope, two);
      expect(await refused({ layersVersion })).toEqual({ kind: "stale" });
      if (before === undefined) await redis.send("HDEL", REGION.layers, scope);
      else await redis.send("HSET", REGION.layers, scope, before);
    }
    expect(await send({ layersVersion })).toEqual({ kind: "new" });
  });
});

describe("the third stale reply", () => {
  const wrong = { shardVersion: 6, layersVersion: "", haltsVersion: "1" };
  const scopes = ["platform", "channel:demo", "follower:ann"] as const;

  test("contains the current state, read in one step", async () => {
    await redis.send("HSET", REGION.halts, "platform", "drain", "version", "12");
    await redis.send("HSET", REGION.layers, "channel:demo", '3,{"plan":{"maxOpen":2}}');
    await redis.send("HSET", REGION.rosterShard(acceptedOpen().channel, "desk", 0), ANN, "[row]");
    for (const stales of [0, 1])
      expect(await refused({ ...wrong, stales })).toEqual({ kind: "stale" });
    expect(await refused({ ...wrong, stales: 2 })).toEqual({
      kind: "stale",
      now: {
        shardVersion: 7,
        rows: [ANN, "[row]"],
        halts: {
          version: "12",
          scopes: new Map([["platform", "drain"]]),
        },
        layers: {
          version: '\n\n3,{"plan":{"maxOpen":2}}',
          upper: { maxOpen: 2 },
        },
      },
    });
  });

  test("and a decision on it is written, even if things changed since", async () => {
    expect(await send({ ...wrong, stales: 3 })).toEqual({ kind: "new" });
  });

  test("unless an order that would be sent is stopped (P4)", async () => {
    await redis.send("HSET", REGION.halts, "follower:bob", "halt", "version", "12");
    await redis.send("HSET", REGION.halts, "follower:ann", "drain");
    expect(await refused({ ...wrong, stales: 3, unstopped: scopes })).toMatchObject({
      kind: "stale",
      now: { halts: { version: "12" } },
    });
    await redis.send("HDEL", REGION.halts, "follower:ann");
    expect(await send({ ...wrong, stales: 3, unstopped: scopes })).toEqual({ kind: "new" });
  });
});

describe("a job whose signal is older than its Redis' run", () => {
  test("gets that reply, within the difference of the clocks: its intents may be lost", async () => {
    expect(await refused({ job: young(CLOCK_SKEW_MS) })).toEqual({ kind: "older" });
    expect(await send({ job: young(CLOCK_SKEW_MS + 1) })).toEqual({ kind: "new" });
  });

  test("is written after a decision as of its acceptance", async () => {
    expect(await send({ job: young(-60_000), older: true })).toEqual({ kind: "new" });
  });
});

describe("a job that is abandoned", () => {
  const give = (job = young()) =>
    redis.run(abandon, {
      partition: 0,
      job,
      skipped: decided(),
      asked: decided(
        ann({
          state: "ask-only",
          reason: "FAULT",
        }),
      ),
    });

  test("is seen by other workers as one that sends no order", async () => {
    expect(await give()).toEqual({ kind: "new" });
    expect(await send()).toEqual({ kind: "known", intents: intents() });
  });

  test("does not change earlier intents", async () => {
    await send();
    expect(await give()).toEqual({ kind: "known", intents: intents([ANN, ACCOUNT, 100]) });
    await redis.send("HSET", jobKey(makeArgs()), "outcomes", "1");
    expect(await give()).toEqual({ kind: "over" });
  });

  test("and may have been sent before this Redis' run is asked about, also when it returns", async () => {
    expect(await give(young(-60_000))).toEqual({ kind: "older" });
    expect(await give(young(-60_000))).toEqual({
      kind: "known",
      intents: intents([ANN, ACCOUNT, 100, { askOnly: "FAULT" }]),
    });
  });
});

describe("followers with caps", () => {
  const before = "1,5,1,0,3";
  const capped = (name: string, from: string): Copy =>
    makeCopy(ID, name, { isReserved: true, reservation: { before: from, day: 1 } });
  const sendCapped = (...copies: Copy[]) => send({ decided: { decidedAtMs: 1, copies } });
  const refusedCapped = (...copies: Copy[]) => refused({ decided: { decidedAtMs: 1, copies } });
  const usage = (subscription: string) => redis.send("HGET", REGION.usage("desk"), subscription);

  test("reserve their part in the same step, from no usage or from the usage that was read", async () => {
    await redis.send("HSET", REGION.usage("desk"), ANN, before);
    expect(await sendCapped(capped("ann", before), capped("bob", ""))).toEqual({ kind: "new" });
    expect(await usage(ANN)).toBe("1,105,2,0,4");
    expect(await usage(BOB)).toBe("1,100,1,0,1");
    expect(await redis.hash(REGION.reserved("desk"))).toEqual({
      [clientOrderId(acceptedOpen().id, ANN)]: "100,1",
      [clientOrderId(acceptedOpen().id, BOB)]: "100,1",
    });
  });

  test("reserve all or nothing: followers whose usage changed are named, with their current usage", async () => {
    await redis.send("HSET", REGION.usage("desk"), ANN, before);
    expect(await refusedCapped(capped("ann", ""), capped("bob", ""))).toEqual({
      kind: "overtaken",
      usages: new Map([[ANN, before]]),
    });
    // A usage that was used and forgotten equals none, and differs from the one decided on.
    expect(await refusedCapped(capped("bob", before))).toEqual({
      kind: "overtaken",
      usages: new Map([[BOB, ""]]),
    });
  });
});

test("a job that is unknown, or has no intents, is not a stored job", () => {
  expect(parseStoredJob([null, null])).toBeUndefined();
  expect(parseStoredJob([JSON.stringify(intents()), '["ann"]'])).toEqual({
    intents: intents(),
    unknown: [ANN],
  });
});

describe("a Redis that lost its data", () => {
  test("accepts no intents until it is filled, and returns those that it has", async () => {
    const known = { ...young(), shard: 1 };
    await redis.send("HSET", REGION.rosterHead(known.signal.channel, "desk"), "version:1", "7");
    await send({ job: known });
    await redis.send("HDEL", REGION.header, "regionSinceMs");
    expect(await refused({})).toEqual({ kind: "unfilled" });
    expect(await refused({ job: known })).toMatchObject({ kind: "known" });
  });

  test("may have had intents of every signal accepted before it was filled again, even in the same run", async () => {
    expect(await send()).toEqual({ kind: "new" });
    // It was flushed and filled after the acceptance.
    await redis.send("DEL", jobKey(makeArgs()));
    const filledMs = young().signal.acceptedAtMs;
    await redis.send("HSET", REGION.header, "regionSinceMs", String(filledMs));
    expect(await send()).toEqual({ kind: "older" });
    expect(await send({ older: true })).toEqual({ kind: "new" });
    await redis.send("DEL", jobKey(makeArgs()));
    expect(await send({ job: young(60_000 + CLOCK_SKEW_MS + 1) })).toEqual({ kind: "new" });
  });

  test("abandons a job accepted before it was filled by asking about its orders", async () => {
    const job = young();
    const asked = intents([ANN, ACCOUNT, 100, { askOnly: "FAULT" }]);
    await redis.send("HSET", REGION.header, "regionSinceMs", String(job.signal.acceptedAtMs));
    const args = {
      partition: 0,
      job,
      skipped: decided(),
      asked: decided(ann({ state: "ask-only", reason: "FAULT" })),
    };
    expect(await redis.run(abandon, args)).toEqual({ kind: "older" });
    expect(await stored()).toMatchObject({ intents: asked });
  });
});

describe("copies as they are stored", () => {
  const { id } = acceptedOpen();
  const copies = [
    makeCopy(id, "ann"),
    makeCopy(id, "bob", {
      terms: { symbol: "EURUSD", validUntilMs: 5 },
      isReserved: true,
      reservation: { before: "", day: 1 },
    }),
    makeCopy(id, "carl", { state: "ask-only", reason: "LEFT" }),
    // A stop is read again before each send, so it is not stored.
    makeCopy(id, "dora", { state: "maybe-sent", reason: "HALTED" }),
    makeSkippedCopy(id, "emil", "PAUSED"),
  ];

  test("contain only what differs from the signal, or needs care", () => {
    expect(packIntents({ decidedAtMs: 7, copies })).toEqual({
      decidedAtMs: 7,
      orders: [
        [ANN, "ann-acct" as AccountId, 100],
        [BOB, "bob-acct" as AccountId, 100, { symbol: "EURUSD", validUntilMs: 5, reserved: true }],
        ["carl" as SubscriptionId, "carl-acct" as AccountId, 100, { askOnly: "LEFT" }],
        ["dora" as SubscriptionId, "dora-acct" as AccountId, 100],
      ],
      skips: [["emil" as SubscriptionId, "emil-acct" as AccountId, "PAUSED"]],
    });
  });

  test("are read as maybe sent, and an order that is only asked about stays so (P2)", () => {
    const followers = new Map(
      ["ann", "bob", "carl", "dora", "emil"].map((name) => {
        const { subscription, follower } = memberOf(name);
        return [subscription, follower];
      }),
    );
    const intended = packIntents({ decidedAtMs: 7, copies });
    const read = readCopies(jobOf(acceptedOpen()), intended, followers);
    const stored = { reservation: undefined, reason: undefined };
    expect(read).toEqual([
      { ...copies[0], ...stored, state: "maybe-sent" },
      { ...copies[1], ...stored, state: "maybe-sent" },
      { ...copies[2] },
      { ...copies[3], ...stored },
      { ...copies[4] },
    ] as Copy[]);
  });
});
