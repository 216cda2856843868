import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Copy } from "../../../domain/copier/copy.ts";
import { clientOrderId, type SubscriptionId } from "../../../domain/ids.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import { keptMs } from "../../../redis/accept.ts";
import { parseJob, type Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { PROGRESS_FIELDS, sumProgress } from "../../../redis/progress.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import { unpackOutcomes, type OutcomesEvent, type PackedOutcomes } from "./events.ts";
import { makeCopy } from "../../../tests/support/copies.ts";
import { packIntents, parseStoredJob, STORED_JOB_FIELDS } from "./intents.ts";
import { answer, countCopies, report } from "./outcomes.ts";

const REGION = new RegionKeys(0);
const SIGNAL = acceptedOpen();
const JOB = jobOf(SIGNAL, { count: 3 });
const JOBS = REGION.jobs("desk");
const QUESTIONS = REGION.questions("desk");
const KEY = REGION.job(SIGNAL.id, "desk", 0);

const PLACED: Outcome = {
  kind: "placed",
  stakeCents: 100,
  openPriceMicros: 5,
  openedAtMs: 6,
  expiresAtMs: 7,
};
const REJECTED: Outcome = { kind: "rejected", stakeCents: 100, reason: "REFUSED" };
const SKIPPED: Outcome = { kind: "skipped", reason: "PAUSED" };
const UNKNOWN: Outcome = { kind: "unknown", stakeCents: 100 };

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  for (const stream of [JOBS, QUESTIONS]) {
    await redis.send("XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM");
  }
});

let entry = "";

/** A new entry, delivered to a worker. */
async function deliver(stream: string): Promise<string> {
  entry = String(await redis.send("XADD", stream, "*", "f", "1"));
  await redis.send("XREADGROUP", "GROUP", "workers", "one", "STREAMS", stream, ">");
  return entry;
}

/** Whether the newest delivered entry is not acknowledged yet. */
async function isPending(stream: string): Promise<boolean> {
  const found = await redis.send("XPENDING", stream, "workers", entry, entry, "1");
  return (found as unknown[]).length > 0;
}

const copiesOf = (outcomes: Readonly<Record<string, Outcome | undefined>>): Copy[] =>
  Object.entries(outcomes).map(([name, outcome]) =>
    makeCopy(SIGNAL.id, name, { state: "maybe-sent", outcome }),
  );

function ended(copies: readonly Copy[], answeredAfterMs: number | null = 40) {
  const { acceptedAtMs } = SIGNAL;
  const answeredAtMs = answeredAfterMs === null ? null : acceptedAtMs + answeredAfterMs;
  return {
    partition: 0,
    job: JOB,
    copies,
    counts: countCopies(copies),
    decidedAtMs: acceptedAtMs + 2,
    sentAtMs: answeredAtMs,
    answeredAtMs,
  };
}

async function sendCopies(
  copies: readonly Copy[],
  { answeredAfterMs, job = JOB }: { answeredAfterMs?: number | null; job?: Job } = {},
): Promise<boolean> {
  await deliver(JOBS);
  return await redis.run(report, { ...ended(copies, answeredAfterMs), job, entry });
}

const send = (
  outcomes: Readonly<Record<string, Outcome>>,
  how: Parameters<typeof sendCopies>[1] = {},
): Promise<boolean> => sendCopies(copiesOf(outcomes), how);

/** The broker's answer to a question, for some copies. */
async function tell(
  unknown: readonly string[],
  outcomes: Readonly<Record<string, Outcome>>,
): Promise<boolean> {
  await deliver(QUESTIONS);
  const asked = unknown as readonly SubscriptionId[];
  // Copies that the broker could not answer have no outcome.
  const copies = copiesOf({ ...Object.fromEntries(unknown.map((each) => [each])), ...outcomes });
  return await redis.run(answer, { ...ended(copies, 90), entry, unknown: asked });
}

const events = async (): Promise<OutcomesEvent[]> =>
  (await redis.entries(REGION.events)).map((fields) =>
    unpackOutcomes(JSON.parse(fields.get("event") ?? "") as PackedOutcomes),
  );

async function progress() {
  const part = await redis.send("HMGET", REGION.progress(SIGNAL.id), ...PROGRESS_FIELDS);
  const { counts, timing } = sumProgress({ signal: SIGNAL, routes: [], followers: 3 }, [part]);
  const { placed, rejected, skipped, unknown } = counts;
  return { placed, rejected, skipped, unknown, firstMs: timing.firstMs, lastMs: timing.lastMs };
}

const stored = async () => parseStoredJob(await redis.send("HMGET", KEY, ...STORED_JOB_FIELDS));

/** The questions that are not delivered to a worker. */
async function questions(): Promise<Job[]> {
  const all = (await redis.entries(QUESTIONS)).filter((fields) => fields.has("signal"));
  return all.map((fields) => {
    const job = parseJob(fields);
    if (typeof job === "string") throw new Error(job);
    return job;
  });
}

describe("a report", () => {
  test("writes each outcome, counts it, and acknowledges the job, in one step", async () => {
    const outcomes = { ann: PLACED, bob: REJECTED, carl: SKIPPED };
    expect(await send(outcomes)).toBe(true);
    const [event, ...more] = await events();
    expect(more).toEqual([]);
    expect(new Map(event?.copies.map(([each, , outcome]) => [String(each), outcome]))).toEqual(
      new Map(Object.entries(outcomes)),
    );
    expect(await progress()).toMatchObject({ placed: 1, rejected: 1, skipped: 1, unknown: 0 });
    expect(await isPending(JOBS)).toBe(false);
    expect(await questions()).toEqual([]);
  });

  test("a second time changes nothing, and still acknowledges its entry", async () => {
    await send({ ann: PLACED });
    const before = [await events(), await progress()];
    expect(await send({ ann: REJECTED })).toBe(false);
    expect([await events(), await progress()]).toEqual(before);
    expect(await isPending(JOBS)).toBe(false);
  });

  test("of one shard does not prevent another's", async () => {
    await send({ ann: PLACED });
    expect(await send({ bob: PLACED }, { job: { ...JOB, shard: 1 } })).toBe(true);
    expect(await progress()).toMatchObject({ placed: 2 });
  });

  test("updates the first and the last answer of its signal, but not if no broker was asked", async () => {
    await send({ ann: SKIPPED }, { answeredAfterMs: null });
    expect(await progress()).toMatchObject({ firstMs: null, lastMs: null });
    for (const [shard, answeredAfterMs] of [
      [1, 40],
      [2, 100],
      [3, 9],
    ] as const) {
      await send({ ann: PLACED }, { job: { ...JOB, shard }, answeredAfterMs });
    }
    expect(await progress()).toMatchObject({ firstMs: 9, lastMs: 100 });
  });

  test("is stored as long as something of the signal may be open", async () => {
    await send({ ann: PLACED });
    const leftMs = Number(await redis.send("PTTL", KEY));
    expect(leftMs).toBeLessThanOrEqual(keptMs(SIGNAL));
    expect(leftMs).toBeGreaterThan(keptMs(SIGNAL) - 5_000);
  });
});

describe("an unknown copy", () => {
  test("becomes a question, and only unknown copies do", async () => {
    await send({ ann: PLACED, bob: UNKNOWN, carl: UNKNOWN });
    expect(await questions()).toEqual([JOB]);
    expect((await stored())?.unknown.map(String)).toEqual(["bob", "carl"]);
    expect(await progress()).toMatchObject({ placed: 1, unknown: 2 });
  });

  test("can be asked about even if a Redis lost its intents", async () => {
    const [ann, bob] = [
      makeCopy(SIGNAL.id, "ann", { state: "maybe-sent", outcome: PLACED }),
      makeCopy(SIGNAL.id, "bob", {
        state: "ask-only",
        reason: "LEFT",
        terms: { symbol: "EURUSD" },
        isReserved: true,
        outcome: UNKNOWN,
      }),
    ];
    await sendCopies([ann, bob]);
    const intents = packIntents({ decidedAtMs: SIGNAL.acceptedAtMs + 2, copies: [bob] });
    expect((await stored())?.intents).toEqual(intents);
    expect(intents.orders[0]?.[3]).toEqual({
      symbol: "EURUSD",
      reserved: true,
      askOnly: "LEFT",
    });
  });

  test("is asked about with the stored intents", async () => {
    await redis.send("HSET", KEY, "intents", '{"decidedAtMs":1,"orders":[],"skips":[]}');
    await send({ ann: UNKNOWN });
    expect((await stored())?.intents).toEqual({ decidedAtMs: 1, orders: [], skips: [] });
  });

  test("is reported once the broker knows, and is no longer counted as unknown", async () => {
    await send({ ann: UNKNOWN, bob: UNKNOWN });
    expect(await tell(["ann", "bob"], { ann: PLACED, bob: SKIPPED })).toBe(true);
    expect(await progress()).toMatchObject({ placed: 1, skipped: 1, unknown: 0, lastMs: 90 });
    expect((await events()).map(({ copies }) => copies.length)).toEqual([2, 2]);
    expect((await stored())?.unknown).toEqual([]);
    expect(await isPending(QUESTIONS)).toBe(false);
    expect(await questions()).toEqual([JOB]);
  });

  test("is asked about again, at the end of the stream, if the broker could not answer", async () => {
    await send({ ann: UNKNOWN, bob: UNKNOWN });
    expect(await tell(["ann", "bob"], { bob: REJECTED })).toBe(true);
    expect(await progress()).toMatchObject({ rejected: 1, unknown: 1 });
    expect((await stored())?.unknown.map(String)).toEqual(["ann"]);
    expect(await questions()).toEqual([JOB, JOB]);

    const before = [await events(), await progress()];
    expect(await tell(["ann"], {})).toBe(true);
    expect([await events(), await progress()]).toEqual(before);
    expect(await questions()).toHaveLength(3);
  });

  test("is answered once: a late answer to an earlier question changes nothing, and its entry is acknowledged", async () => {
    await send({ ann: UNKNOWN, bob: UNKNOWN });
    await tell(["ann", "bob"], { bob: REJECTED });
    const before = [await events(), await progress(), await questions()];
    expect(await tell(["ann", "bob"], { ann: PLACED, bob: PLACED })).toBe(false);
    expect([await events(), await progress(), await questions()]).toEqual(before);
    expect(await isPending(QUESTIONS)).toBe(false);
  });
});

describe("a part of a follower's caps is given back", () => {
  const ann = clientOrderId(SIGNAL.id, "ann" as SubscriptionId);
  const bob = clientOrderId(SIGNAL.id, "bob" as SubscriptionId);
  const RESERVED = REGION.reserved("desk");

  /**
   * Reports the outcomes of an order with caps and one without. Returns the usage
   * that both leave.
   */
  async function left(outcome: Outcome): Promise<Record<string, string>> {
    await redis.send("HSET", RESERVED, ann, "100,5", bob, "100,5");
    await redis.send("HSET", REGION.usage("desk"), "ann", "5,300,2,0,9");
    await sendCopies([
      makeCopy(SIGNAL.id, "ann", { state: "maybe-sent", isReserved: true, outcome }),
      makeCopy(SIGNAL.id, "bob", { state: "maybe-sent", outcome }),
    ]);
    return await redis.hash(RESERVED);
  }

  test("whole, by an order that was never opened", async () => {
    expect(await left(REJECTED)).toEqual({ [bob]: "100,5" });
    await redis.send("DEL", KEY);
    expect(await left(SKIPPED)).toEqual({ [bob]: "100,5" });
  });

  test("as far as it was not filled", async () => {
    expect(await left({ ...PLACED, stakeCents: 60 })).toEqual({ [ann]: "60,5", [bob]: "100,5" });
    await redis.send("DEL", KEY);
    expect(await left(PLACED)).toEqual({ [ann]: "100,5", [bob]: "100,5" });
  });

  test("not by an order whose outcome is unknown", async () => {
    expect(await left(UNKNOWN)).toEqual({ [ann]: "100,5", [bob]: "100,5" });
  });

  test("once, in the step that writes its outcome", async () => {
    await left(REJECTED);
    expect(await redis.send("HGET", REGION.usage("desk"), "ann")).toBe("5,200,1,0,10");
    await sendCopies([makeCopy(SIGNAL.id, "ann", { isReserved: true, outcome: REJECTED })]);
    expect(await redis.send("HGET", REGION.usage("desk"), "ann")).toBe("5,200,1,0,10");
  });
});
