import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId, type SignalId } from "../domain/ids.ts";
import type { AcceptedClose, AcceptedOpen } from "../domain/copier/signal.ts";
import { acceptedOpen, signalIdOf } from "../tests/support/signals.ts";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { ANSWER_TTL_MS } from "./accept.ts";
import { dispatchesOf, enqueue, MAX_JOBS_WAITING } from "./enqueue.ts";
import { parseJob, type Job } from "./job.ts";
import { RegionKeys } from "./keys.ts";
import type { Route } from "./route.ts";

const REGION = new RegionKeys(0);
const JOBS = REGION.jobs("desk");

const signalOf = (sequence: number) => acceptedOpen({ id: signalIdOf(sequence), sequence });

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

const send = (signal: AcceptedOpen, ...shards: number[]) =>
  redis.run(enqueue, {
    signal,
    partition: 0,
    broker: "desk",
    shards: shards.map((shard) => ({ shard, version: 10 + shard, count: 1 + shard })),
  });

async function jobs(): Promise<Job[]> {
  return (await redis.entries(JOBS)).map((fields) => {
    const job = parseJob(fields);
    if (typeof job === "string") throw new Error(job);
    return job;
  });
}

/** Jobs that no worker has taken yet. */
async function fill(count: number): Promise<void> {
  const lua = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'f', i) end";
  await redis.send("EVAL", lua, "1", JOBS, String(count));
}

/** Delivers this many jobs to a worker. */
async function deliver(count: number): Promise<void> {
  const read = ["GROUP", "workers", "one", "COUNT", String(count), "STREAMS", JOBS, ">"];
  await redis.send("XREADGROUP", ...read);
}

async function acknowledge(count: number): Promise<void> {
  await redis.send("XACK", JOBS, "workers", ...(await redis.entryIds(JOBS)).slice(0, count));
}

describe("a dispatch", () => {
  test("creates one job for each shard, in the order of its shards, with the version at which it is copied", async () => {
    const signal = signalOf(1);
    const beforeMs = await redis.nowMs();
    expect(await send(signal, 2, 0)).toEqual({ kind: "enqueued", added: 2 });
    const all = await jobs();
    expect(all).toMatchObject([
      { signal, broker: "desk", shard: 2, version: 12, count: 3 },
      { signal, broker: "desk", shard: 0, version: 10, count: 1 },
    ]);
    for (const { dispatchedAtMs } of all) expect(dispatchedAtMs).toBeGreaterThanOrEqual(beforeMs);
  });

  test("repeated, in whole or in part, enqueues each shard's job once", async () => {
    const signal = signalOf(1);
    expect(await send(signal, 1, 2)).toEqual({ kind: "enqueued", added: 2 });
    expect(await send(signal, 0, 1, 2)).toEqual({ kind: "enqueued", added: 1 });
    expect(await send(signal, 0, 1, 2)).toEqual({ kind: "enqueued", added: 0 });
    expect((await jobs()).map(({ shard }) => shard)).toEqual([1, 2, 0]);
  });

  test("is known as done also when its jobs were worked on and trimmed, for a day", async () => {
    const signal = signalOf(1);
    await send(signal, 0);
    await redis.send("DEL", JOBS);
    expect(await send(signal, 0)).toEqual({ kind: "enqueued", added: 0 });
    const leftMs = Number(await redis.send("PTTL", REGION.enqueued(signal.id)));
    expect(leftMs).toBeGreaterThan(ANSWER_TTL_MS - 5_000);
  });

  test("of one signal or broker does not delay another", async () => {
    const [first, second] = [signalOf(1), signalOf(2)];
    const shards = [{ shard: 0, version: 1, count: 1 }];
    await send(first, 0);
    expect(await send(second, 0)).toEqual({ kind: "enqueued", added: 1 });
    const elsewhere = { signal: first, partition: 0, broker: "fake", shards };
    expect(await redis.run(enqueue, elsewhere)).toEqual({ kind: "enqueued", added: 1 });
    expect(await redis.send("XLEN", REGION.jobs("fake"))).toBe(1);
  });
});

describe("a stream that is too far behind", () => {
  beforeEach(async () => {
    await redis.send("XGROUP", "CREATE", JOBS, "workers", "0", "MKSTREAM");
  });

  test("takes no job of a new signal, and stores none as enqueued", async () => {
    await fill(MAX_JOBS_WAITING);
    const before = await redis.everything();
    expect(await send(signalOf(1), 0)).toEqual({ kind: "full" });
    expect(await redis.everything()).toEqual(before);
  });

  test("takes all of a signal's jobs if there is room for one", async () => {
    await fill(MAX_JOBS_WAITING - 1);
    expect(await send(signalOf(1), 0, 1, 2)).toEqual({ kind: "enqueued", added: 3 });
    expect(await send(signalOf(2), 0)).toEqual({ kind: "full" });
  });

  test("still confirms the jobs that it took", async () => {
    await send(signalOf(1), 0);
    await fill(MAX_JOBS_WAITING);
    expect(await send(signalOf(1), 0)).toEqual({ kind: "enqueued", added: 0 });
  });

  test("is one whose workers are behind: what they acknowledged does not count before it is trimmed", async () => {
    await fill(MAX_JOBS_WAITING);
    await deliver(1);
    // A job that a worker has read is not done.
    expect(await send(signalOf(1), 0)).toEqual({ kind: "full" });
    await acknowledge(1);
    expect(await send(signalOf(1), 0)).toEqual({ kind: "enqueued", added: 1 });
  });

  test("is also one without its group: nothing has been acknowledged", async () => {
    await fill(MAX_JOBS_WAITING);
    await deliver(MAX_JOBS_WAITING);
    await acknowledge(MAX_JOBS_WAITING);
    expect(await send(signalOf(1), 0)).toEqual({ kind: "enqueued", added: 1 });
    await redis.send("XGROUP", "DESTROY", JOBS, "workers");
    expect(await send(signalOf(2), 0)).toEqual({ kind: "full" });
  });
});

describe("the dispatches of a signal", () => {
  const to = (partition: number, shard: number, broker = "desk", region = "local"): Route => ({
    region,
    broker,
    partition,
    shard,
    version: 1,
    count: 1,
  });

  test("are one per region, partition and broker, and have each route once", () => {
    const routes = [
      to(0, 0),
      to(0, 1),
      to(1, 0),
      to(0, 2),
      to(0, 0, "fake"),
      to(0, 0, "desk", "far"),
      to(1, 1),
    ];
    for (const sequence of [1, 2, 3, 50]) {
      const dispatches = dispatchesOf(signalOf(sequence), routes);
      const places = dispatches.map(
        ({ region, enqueue: { partition, broker } }) => `${region}/${partition}/${broker}`,
      );
      expect(places.toSorted()).toEqual([
        "far/0/desk",
        "local/0/desk",
        "local/0/fake",
        "local/1/desk",
      ]);
      expect(dispatches.flatMap(({ enqueue: { shards } }) => shards)).toHaveLength(routes.length);
      const home = dispatches.find(
        ({ region, enqueue: each }) =>
          region === "local" && each.partition === 0 && each.broker === "desk",
      );
      expect(home?.enqueue.shards.map(({ shard }) => shard).toSorted((a, b) => a - b)).toEqual([
        0, 1, 2,
      ]);
    }
  });

  test("begin with another shard from signal to signal (P8)", () => {
    const routes = Array.from({ length: 10 }, (_, shard) => to(0, shard));
    const firsts = Array.from(
      { length: 10 },
      (_, sequence) => dispatchesOf(signalOf(sequence), routes)[0]?.enqueue.shards[0],
    );
    expect(new Set(firsts.map((each) => (each as Route).shard)).size).toBeGreaterThan(7);
  });

  test("do not depend on the order in which the routes were read", () => {
    const routes = [to(0, 0), to(1, 0), to(1, 1), to(0, 1)];
    expect(dispatchesOf(signalOf(7), routes.toReversed())).toEqual(
      dispatchesOf(signalOf(7), routes),
    );
  });

  test("are none without followers, and none for a close", () => {
    expect(dispatchesOf(signalOf(1), [])).toEqual([]);
    const close: AcceptedClose = {
      id: signalOf(1).id,
      channel: asId("demo"),
      sender: asId("a"),
      provider: asId("a"),
      sequence: 1,
      acceptedAtMs: 1,
      action: "close",
      closes: [] as SignalId[],
    };
    expect(dispatchesOf(close, [to(0, 0)])).toEqual([]);
  });
});

test("a region that is not filled takes no job, and takes each once it is", async () => {
  const signal = signalOf(1);
  await redis.send("HDEL", REGION.header, "regionSinceMs");
  const before = await redis.everything();
  expect(await send(signal, 0, 1)).toEqual({ kind: "unfilled" });
  expect(await redis.everything()).toEqual(before);
  await redis.send("HSET", REGION.header, "regionSinceMs", "1");
  expect(await send(signal, 0, 1)).toEqual({ kind: "enqueued", added: 2 });
});
