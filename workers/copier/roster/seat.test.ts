import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Subscription } from "../../../domain/copier/subscription.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { CHANNEL, followerOf } from "../../../tests/support/copier.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { parseRosterShard, wasSeated } from "../stored/roster.ts";
import { seat } from "./seat.ts";

const REGION = new RegionKeys(0);
const SIZE = 4;

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

const set = (...subscriptions: Subscription[]) =>
  redis.run(seat, {
    partition: 0,
    broker: "desk",
    channel: CHANNEL,
    subscriptions,
    shardSize: SIZE,
  });

const join = (index: number, version = 1, changes: Partial<Subscription> = {}) =>
  set(followerOf(index, { version, ...changes }));
const leave = (index: number, version: number) =>
  set(followerOf(index, { version, state: "left" }));

async function rows(shard = 0) {
  const stored = await redis.hash(REGION.rosterShard(CHANNEL, "desk", shard));
  return parseRosterShard(Object.entries(stored).flat());
}

/** The members of a shard for a job of this version. */
const members = async (version: number, shard = 0) =>
  (await rows(shard))
    .filter((each) => wasSeated(each, version))
    .map(({ subscription }) => String(subscription));

describe("a subscription", () => {
  test("is a member from the version that its shard's route names after it joined", async () => {
    const { changed, shards } = await join(1);
    expect(changed).toBe(1);
    expect(shards).toMatchObject([{ shard: 0, count: 1 }]);
    const version = shards[0]?.version ?? 0;
    expect(await members(version)).toEqual(["sub-0001"]);
    expect(await members(version - 1)).toEqual([]);
    const { account, follower, plan } = followerOf(1);
    expect((await rows())[0]).toMatchObject({ account, follower, plan, subscriptionVersion: 1 });
  });

  test("that leaves is a member of every earlier version, and of no later one", async () => {
    const before = (await join(1)).shards[0]?.version ?? 0;
    const { shards } = await leave(1, 2);
    expect(shards).toMatchObject([{ shard: 0, count: 0 }]);
    expect(await members(shards[0]?.version ?? 0)).toEqual([]);
    expect(await members(before)).toEqual(["sub-0001"]);
  });

  test("that changes stays a member, at a newer version of its shard", async () => {
    const first = (await join(1)).shards[0]?.version ?? 0;
    const { shards } = await join(1, 2, { state: "paused" });
    expect(shards[0]?.version ?? 0).toBeGreaterThan(first);
    expect(shards[0]?.count).toBe(1);
    expect((await rows())[0]).toMatchObject({ state: "paused", turns: [first] });
  });

  test("of an older version changes nothing, and its shard is still named", async () => {
    await join(1, 5);
    const before = await redis.everything();
    const { changed, shards } = await leave(1, 4);
    expect(changed).toBe(0);
    expect(shards).toMatchObject([{ shard: 0, count: 1 }]);
    expect(await join(1, 5, { state: "paused" })).toMatchObject({ changed: 0 });
    expect(await redis.everything()).toEqual(before);
  });

  test("that left before it ever joined has no row", async () => {
    const before = await redis.everything();
    expect(await leave(1, 2)).toEqual({ changed: 0, shards: [] });
    expect(await redis.everything()).toEqual(before);
  });

  test("that joins and leaves without end has a row of bounded size, in its last state", async () => {
    let version = 0;
    for (let round = 0; round < 70; round += 1) {
      version = (await join(1, 2 * round + 1)).shards[0]?.version ?? 0;
      await leave(1, 2 * round + 2);
    }
    const [row] = await rows();
    expect(row?.turns.length).toBeLessThanOrEqual(64);
    expect(await members(version)).toEqual(["sub-0001"]);
    expect(await members(version + 1_000_000)).toEqual([]);
  });
});

describe("a row that cannot be read", () => {
  const spoil = (index: number, text: string) =>
    redis.send("HSET", REGION.rosterShard(CHANNEL, "desk", 0), followerOf(index).id, text);

  test("is replaced by the recorded version, and the shard is counted again", async () => {
    await set(...[1, 2, 3].map((index) => followerOf(index)));
    await leave(3, 2);
    await spoil(1, "[1,[");
    const { changed, shards } = await join(1);
    expect(changed).toBe(1);
    expect(shards).toMatchObject([{ shard: 0, count: 2 }]);
    expect(await members(shards[0]?.version ?? 0)).toEqual(["sub-0001", "sub-0002"]);
  });

  test("that is damaged keeps the joins and leaves that can be read, and no member counts twice", async () => {
    const first = (await set(followerOf(1), followerOf(2))).shards[0]?.version ?? 0;
    const whole = await redis.hash(REGION.rosterShard(CHANNEL, "desk", 0));
    await spoil(1, whole[followerOf(1).id]?.slice(0, -1) ?? "");
    expect((await join(1)).shards).toMatchObject([{ shard: 0, count: 2 }]);
    expect(await members(first)).toEqual(["sub-0001", "sub-0002"]);
    const [row] = await rows();
    expect(row).toMatchObject({ subscriptionVersion: 1, turns: [first] });
    expect(row?.isUnreadable).toBeUndefined();
  });

  test("or is missing, of a follower who left meanwhile, is not counted any more", async () => {
    await set(followerOf(1), followerOf(2));
    await redis.send("HDEL", REGION.rosterShard(CHANNEL, "desk", 0), followerOf(1).id);
    const { shards } = await leave(1, 2);
    expect(shards).toMatchObject([{ shard: 0, count: 1 }]);
    expect(await members(shards[0]?.version ?? 0)).toEqual(["sub-0002"]);
  });
});

describe("a roster", () => {
  test("has shards of bounded size, and every member in one of them", async () => {
    const { shards } = await set(...Array.from({ length: 10 }, (_, index) => followerOf(index)));
    expect(shards.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual([2, 4, 4]);
    const all = (await Promise.all([0, 1, 2].map((shard) => rows(shard)))).flat();
    expect(new Set(all.map(({ subscription }) => subscription)).size).toBe(10);
    for (const shard of [0, 1, 2]) expect((await rows(shard)).length).toBeLessThanOrEqual(SIZE);
  });

  test("fills a shard that has emptied before it opens another", async () => {
    await set(...Array.from({ length: 8 }, (_, index) => followerOf(index)));
    for (const index of [0, 1, 2]) await leave(index, 2);
    const { shards } = await join(20);
    expect(shards).toMatchObject([{ shard: 0, count: 2 }]);
  });

  test("names only the shards that a change is about", async () => {
    await set(...Array.from({ length: 8 }, (_, index) => followerOf(index)));
    const { shards } = await join(7, 2, { state: "paused" });
    expect(shards.map(({ shard }) => shard)).toEqual([1]);
  });

  test("has versions that rise with each change and start at Redis' time: a loss does not lower them", async () => {
    const startedMs = await redis.nowMs();
    const versions: number[] = [];
    for (const index of [1, 2, 3]) versions.push((await join(index)).shards[0]?.version ?? 0);
    expect(new Set(versions).size).toBe(3);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    await redis.clear();
    const rebuilt = (await join(1)).shards[0]?.version ?? 0;
    expect(rebuilt).toBeGreaterThanOrEqual(startedMs);
  });
});
