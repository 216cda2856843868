import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId, type AccountId, type SubscriptionId } from "../domain/ids.ts";
import type { AcceptedClose, PlacedCopy } from "../domain/copier/signal.ts";
import { acceptedOpen, signalIdOf } from "../tests/support/signals.ts";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { parseCloseJob, type CloseJob } from "./close-job.ts";
import { closeDispatchesOf, enqueueClose, type EnqueueCloseArgs } from "./enqueue-close.ts";
import { MAX_JOBS_WAITING } from "./enqueue.ts";
import { RegionKeys } from "./keys.ts";
import type { StoredSignal } from "./progress.ts";
import type { Route } from "./route.ts";

const REGION = new RegionKeys(0);
const CLOSES = REGION.closes("desk");

const openOf = (index: number) => acceptedOpen({ id: signalIdOf(index), sequence: index });

const closeOf = (changes: Partial<AcceptedClose> = {}): AcceptedClose => ({
  id: signalIdOf(0xffff),
  channel: asId("demo"),
  sender: asId("sender"),
  provider: asId("provider"),
  sequence: 99,
  acceptedAtMs: 3,
  action: "close",
  closes: [],
  ...changes,
});

const to = (partition: number, shard: number, broker = "desk", region = "local"): Route => ({
  region,
  broker,
  partition,
  shard,
  version: 7,
  count: 5,
});

const stored = (index: number, ...routes: Route[]): StoredSignal => ({
  signal: openOf(index),
  routes,
  followers: 5 * routes.length,
});

const copy = (index: number, route: Route): PlacedCopy => {
  const { region, broker, partition, shard } = route;
  const subscription = asId<SubscriptionId>(`sub-${index}`);
  const account = asId<AccountId>(`acct-${index}`);
  return { subscription, account, region, broker, partition, shard };
};

describe("the dispatches of a close", () => {
  test("are one per region, partition and broker, with a job for each signal and each of its shards", () => {
    const dispatches = closeDispatchesOf(closeOf(), [
      stored(1, to(0, 0), to(0, 1), to(1, 0)),
      stored(2, to(0, 0), to(0, 0, "fake"), to(0, 0, "desk", "far")),
    ]);
    const found = dispatches.map(({ region, enqueue: { partition, broker, jobs } }) => [
      `${region}/${partition}/${broker}`,
      jobs.map(({ of, shard, version, count }) => [of.sequence, shard, version, count]),
    ]);
    expect(Object.fromEntries(found)).toEqual({
      "local/0/desk": [
        [1, 0, 7, 5],
        [1, 1, 7, 5],
        [2, 0, 7, 5],
      ],
      "local/1/desk": [[1, 0, 7, 5]],
      "local/0/fake": [[2, 0, 7, 5]],
      "far/0/desk": [[2, 0, 7, 5]],
    });
  });

  test("contain only the head of the close", () => {
    const [dispatch] = closeDispatchesOf(closeOf(), [stored(1, to(0, 0))]);
    expect(dispatch?.enqueue.close).toEqual({
      id: closeOf().id,
      channel: closeOf().channel,
      provider: asId("provider"),
      acceptedAtMs: 3,
    });
  });

  test("go only to the broker that is named", () => {
    const dispatches = closeDispatchesOf(closeOf({ broker: "fake" }), [
      stored(1, to(0, 0), to(0, 0, "fake")),
    ]);
    expect(dispatches.map(({ enqueue: { broker } }) => broker)).toEqual(["fake"]);
  });

  test("go only to the shards of the named copies, and name those copies", () => {
    const copies = [copy(1, to(0, 1)), copy(2, to(1, 0)), copy(3, to(0, 1))];
    const dispatches = closeDispatchesOf(closeOf({ copies }), [
      stored(1, to(0, 0), to(0, 1), to(1, 0)),
    ]);
    expect(dispatches.map(({ enqueue: { partition, jobs } }) => [partition, jobs])).toMatchObject([
      [
        0,
        [
          {
            shard: 1,
            version: 7,
            count: 5,
            only: [
              ["sub-1", "acct-1"],
              ["sub-3", "acct-3"],
            ],
          },
        ],
      ],
      [1, [{ shard: 0, version: 7, count: 5, only: [["sub-2", "acct-2"]] }]],
    ]);
  });

  test("also go where no route of the signal led: the copy may have moved there since", () => {
    const copies = [copy(1, to(2, 4))];
    const [dispatch] = closeDispatchesOf(closeOf({ copies }), [stored(1, to(0, 0))]);
    expect(dispatch?.enqueue).toMatchObject({
      partition: 2,
      jobs: [{ shard: 4, version: 0, count: 0 }],
    });
  });

  test("are several where a partition has more jobs than one call takes, and lose none", () => {
    const routes = Array.from({ length: 150 }, (_, shard) => to(0, shard));
    const dispatches = closeDispatchesOf(closeOf(), [
      stored(1, ...routes),
      stored(2, ...routes),
      stored(3, ...routes),
    ]);
    const jobs = dispatches.flatMap(({ enqueue }) => enqueue.jobs);
    expect(dispatches.length).toBeGreaterThan(1);
    expect(new Set(jobs.map(({ of, shard }) => `${of.id}/${shard}`)).size).toBe(450);
    expect(jobs).toHaveLength(450);
  });

  test("are none if nothing is to be closed, and none for a close among the signals", () => {
    expect(closeDispatchesOf(closeOf(), [])).toEqual([]);
    const signal = closeOf();
    expect(closeDispatchesOf(signal, [{ signal, routes: [to(0, 0)], followers: 1 }])).toEqual([]);
  });
});

describe("the enqueue of a close", () => {
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

  const argsOf = (...signals: StoredSignal[]): EnqueueCloseArgs => {
    const [dispatch] = closeDispatchesOf(closeOf(), signals);
    if (!dispatch) throw new Error("nothing to dispatch");
    return dispatch.enqueue;
  };
  const jobs = async (): Promise<CloseJob[]> =>
    (await redis.entries(CLOSES)).map((fields) => {
      const job = parseCloseJob(fields);
      if (typeof job === "string") throw new Error(job);
      return job;
    });

  test("makes jobs that the workers read, due at once and never tried before", async () => {
    const only = [[asId<SubscriptionId>("sub"), asId<AccountId>("acct")]] as const;
    const args = argsOf(stored(1, to(0, 2)));
    const some = { ...args, jobs: args.jobs.map((job) => ({ ...job, shard: 3, only })) };
    await redis.run(enqueueClose, args);
    await redis.run(enqueueClose, some);
    const common = { close: args.close, of: openOf(1), broker: "desk", version: 7, count: 5 };
    const [whole, part] = await jobs();
    expect(whole).toMatchObject({ ...common, shard: 2, notBeforeMs: 0, tries: 0 });
    expect(whole).not.toHaveProperty("only");
    expect(part).toMatchObject({ ...common, shard: 3, only });
  });

  test("is refused by a region that is not filled", async () => {
    await redis.send("HDEL", REGION.header, "regionSinceMs");
    const args = argsOf(stored(1, to(0, 0)));
    expect(await redis.run(enqueueClose, args)).toEqual({ kind: "unfilled" });
    expect(await jobs()).toEqual([]);
  });

  test("repeated, in whole or in part, makes each job once", async () => {
    const first = argsOf(stored(1, to(0, 0)));
    const all = argsOf(stored(1, to(0, 0), to(0, 1)), stored(2, to(0, 0)));
    expect(await redis.run(enqueueClose, first)).toEqual({ kind: "enqueued", added: 1 });
    expect(await redis.run(enqueueClose, all)).toEqual({ kind: "enqueued", added: 2 });
    expect(await redis.run(enqueueClose, all)).toEqual({ kind: "enqueued", added: 0 });
    expect(await jobs()).toHaveLength(3);
  });

  test("has room for twice as many jobs as an open, and then takes none", async () => {
    await redis.send("XGROUP", "CREATE", CLOSES, "workers", "0", "MKSTREAM");
    const lua = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'f', i) end";
    const fill = (count: number) => redis.send("EVAL", lua, "1", CLOSES, String(count));
    await fill(2 * MAX_JOBS_WAITING - 1);
    expect(await redis.run(enqueueClose, argsOf(stored(1, to(0, 0))))).toMatchObject({ added: 1 });
    const before = await redis.everything();
    expect(await redis.run(enqueueClose, argsOf(stored(2, to(0, 0))))).toEqual({ kind: "full" });
    expect(await redis.everything()).toEqual(before);
  });
});
