import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { AccountId, SubscriptionId } from "../../../domain/ids.ts";
import { countOutcomes, type CloseOutcome } from "../../../domain/copier/outcome.ts";
import { closeJobFields, parseCloseJob, type CloseJob } from "../../../redis/close-job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { PROGRESS_FIELDS } from "../../../redis/progress.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, signalIdOf } from "../../../tests/support/signals.ts";
import { moveClosing, noteSent, type ClosingState, type MoveClosingArgs } from "./closing.ts";
import { unpackClosures, type ClosuresEvent, type PackedClosures } from "./events.ts";

const REGION = new RegionKeys(0);
const OF = acceptedOpen();
const CLOSES = REGION.closes("desk");
const [ANN, BOB] = ["ann", "bob"].map((each) => each as SubscriptionId) as [
  SubscriptionId,
  SubscriptionId,
];

const jobOf = (index = 1): CloseJob => ({
  close: { id: signalIdOf(index), channel: OF.channel, provider: OF.provider, acceptedAtMs: 10 },
  of: OF,
  broker: "desk",
  shard: 0,
  version: 7,
  count: 2,
  dispatchedAtMs: 11,
  notBeforeMs: 0,
  tries: 2,
});

const makeState = (turn: number, ...left: SubscriptionId[]): ClosingState => ({
  turn,
  left,
  unknown: [],
});

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await redis.send("XGROUP", "CREATE", CLOSES, "workers", "0", "MKSTREAM");
});

/** The job's entry, delivered to a worker. */
async function deliver(job = jobOf()): Promise<string> {
  const id = String(await redis.send("XADD", CLOSES, "*", ...closeJobFields(job)));
  await redis.send("XREADGROUP", "GROUP", "workers", "one", "STREAMS", CLOSES, ">");
  return id;
}

async function waiting(): Promise<CloseJob[]> {
  const [count] = (await redis.send("XPENDING", CLOSES, "workers")) as [number];
  expect(count).toBe(0);
  return (await redis.entries(CLOSES)).map((fields) => parseCloseJob(fields) as CloseJob);
}

const stateText = (job = jobOf()) =>
  redis.send("HGET", REGION.closing(job.close.id, OF.id, "desk", 0), "state");

function makeEnded(...copies: (readonly [SubscriptionId, CloseOutcome])[]) {
  const event: ClosuresEvent = {
    kind: "closures",
    signal: jobOf().close.id,
    of: OF.id,
    broker: "desk",
    shard: 0,
    acceptedAtMs: 10,
    dispatchedAtMs: 11,
    decidedAtMs: 12,
    sentAtMs: 13,
    answeredAtMs: 35,
    copies: copies.map(([each, outcome]) => [each, `${each}-acct` as AccountId, outcome]),
  };
  return { event, counts: countOutcomes(copies.map(([, outcome]) => outcome)) };
}

const CLOSED: CloseOutcome = {
  kind: "closed",
  stakeCents: 100,
  returnCents: 90,
  closePriceMicros: 5,
  closedAtMs: 6,
};

async function move(changes: Partial<MoveClosingArgs> & { readonly after: ClosingState }) {
  const entry = changes.entry ?? (await deliver());
  return await redis.run(moveClosing, {
    partition: 0,
    job: jobOf(),
    before: "",
    ...changes,
    entry,
  });
}

describe("a close that moves", () => {
  test("stores its state, reports what ended, and acknowledges its entry, in one step", async () => {
    const ended = makeEnded([ANN, CLOSED], [BOB, { kind: "skipped", reason: "NOT_OPEN" }]);
    expect(await move({ after: makeState(1), ended })).toBe(true);
    expect(JSON.parse(String(await stateText()))).toEqual(makeState(1));
    const [entry, ...more] = await redis.entries(REGION.events);
    expect(more).toEqual([]);
    const event = unpackClosures(JSON.parse(entry?.get("event") ?? "") as PackedClosures);
    expect(new Map(event.copies.map(([each, , outcome]) => [each, outcome.kind]))).toEqual(
      new Map([
        [ANN, "closed"],
        [BOB, "skipped"],
      ]),
    );
    const counts = await redis.send("HMGET", REGION.progress(jobOf().close.id), ...PROGRESS_FIELDS);
    expect(counts).toEqual(["1", "0", "1", "0", "25", "25"]);
    expect(await waiting()).toEqual([jobOf()]);
  });

  test("returns at the end of its stream at the given time, as long as something is left", async () => {
    await move({ after: makeState(1, BOB), ended: makeEnded([ANN, CLOSED]), againAtMs: 5_000 });
    const [, again] = await waiting();
    expect(again).toEqual({ ...jobOf(), notBeforeMs: 5_000, tries: 3 });
  });

  test("is over if nothing is left", async () => {
    await move({ after: makeState(1) });
    expect(await waiting()).toEqual([jobOf()]);
  });

  test("reports nothing if nothing ended", async () => {
    await move({ after: makeState(1, ANN, BOB), againAtMs: 5_000 });
    expect(await redis.send("EXISTS", REGION.events)).toBe(0);
    expect(await redis.send("EXISTS", REGION.progress(jobOf().close.id))).toBe(0);
  });

  test("from an outdated state changes nothing: another worker has handled the entry", async () => {
    await move({ after: makeState(1, BOB), ended: makeEnded([ANN, CLOSED]), againAtMs: 5_000 });
    const entry = await deliver();
    const before = await redis.everything();
    const late = { after: makeState(1), ended: makeEnded([ANN, CLOSED], [BOB, CLOSED]), entry };
    expect(await move(late)).toBe(false);
    expect(await redis.everything()).toEqual(before);
    expect(await move({ ...late, after: makeState(2), before: String(await stateText()) })).toBe(
      true,
    );
  });

  test("by an entry that is no longer pending changes nothing: a lost job does not start again", async () => {
    const entry = await deliver();
    await redis.send("XACK", CLOSES, "workers", entry);
    const before = await redis.everything();
    const gone = {
      after: makeState(1, BOB),
      ended: makeEnded([ANN, CLOSED]),
      againAtMs: 5_000,
      entry,
    };
    expect(await move(gone)).toBe(false);
    expect(await redis.everything()).toEqual(before);
  });

  test("keeps the data of the open's job until it is over", async () => {
    const open = REGION.job(OF.id, "desk", 0);
    await redis.send("HSET", open, "intents", "{}");
    await redis.send("PEXPIRE", open, "10000");
    await move({ after: makeState(1, ANN) });
    expect(Number(await redis.send("PTTL", open))).toBeGreaterThan(60_000);
  });
});

describe("a close that may sell twice", () => {
  const note = (job = jobOf(), before = "", aloneMs = 60_000) =>
    redis.run(noteSent, { partition: 0, job, before, after: makeState(1, ANN), aloneMs });

  test("is noted before it is sent", async () => {
    expect(await note()).toBe("noted");
    expect(JSON.parse(String(await stateText()))).toEqual(makeState(1, ANN));
  });

  test("is the only one in flight for the same copies", async () => {
    await note(jobOf(1));
    const before = await redis.everything();
    expect(await note(jobOf(2))).toBe("another");
    expect(await redis.everything()).toEqual(before);
    expect(await note({ ...jobOf(2), shard: 1 })).toBe("noted");
  });

  test("may be repeated while others must not be sent", async () => {
    await note(jobOf(1));
    expect(await note(jobOf(1), String(await stateText()))).toBe("noted");
    expect(await note(jobOf(2))).toBe("another");
  });

  test("does not stop another once its time is over", async () => {
    await note(jobOf(1), "", 0);
    expect(await note(jobOf(2))).toBe("noted");
  });

  test("is not noted by a worker that decided on an outdated state", async () => {
    await note();
    const before = await redis.everything();
    expect(await note()).toBe("moved");
    expect(await redis.everything()).toEqual(before);
  });
});
