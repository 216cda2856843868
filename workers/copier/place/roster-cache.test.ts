import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { seatFollowers } from "../../../tests/support/members.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import { RosterCache } from "./roster-cache.ts";

let redis: ScriptRedis;
let cache: RosterCache;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  cache = new RosterCache(redis.client);
});

const jobAt = (version: number) => jobOf(acceptedOpen(), { version });

async function members(version: number, fresh = false): Promise<string[]> {
  const shard = await cache.shardOf(0, jobAt(version), fresh);
  return shard.members.map(({ subscription }) => String(subscription));
}

test("a shard is at least as new as the job that asks for it", async () => {
  const first = await seatFollowers(redis, [1]);
  expect(await members(first)).toEqual(["sub-0001"]);
  const second = await seatFollowers(redis, [2]);
  expect(await members(second)).toEqual(["sub-0001", "sub-0002"]);
  expect((await cache.shardOf(0, jobAt(first))).version).toBe(second);
});

test("a shard that is new enough is not read again, unless requested", async () => {
  const first = await seatFollowers(redis, [1]);
  await members(first);
  await seatFollowers(redis, [2]);
  expect(await members(first)).toEqual(["sub-0001"]);
  expect(await members(first, true)).toEqual(["sub-0001", "sub-0002"]);
});

test("a roster that is older than the job is marked as behind, not cached, and read again", async () => {
  const version = await seatFollowers(redis, [1]);
  expect((await cache.shardOf(0, jobAt(version + 1))).isBehind).toBe(true);
  await redis.send("DEL", new RegionKeys(0).rosterHead(acceptedOpen().channel, "desk"));
  expect((await cache.shardOf(0, jobAt(version))).isBehind).toBe(true);
  await redis.clear();
  const rebuilt = await seatFollowers(redis, [1], [2]);
  expect(await members(rebuilt)).toHaveLength(2);
  expect((await cache.shardOf(0, jobAt(rebuilt))).isBehind).toBeUndefined();
});

test("a shard of one broker or channel is not another's", async () => {
  const version = await seatFollowers(redis, [1]);
  await members(version);
  const elsewhere = { ...jobAt(0), broker: "fake" };
  expect((await cache.shardOf(0, elsewhere)).members).toEqual([]);
  expect((await cache.shardOf(1, jobAt(0))).members).toEqual([]);
  expect(await members(version)).toEqual(["sub-0001"]);
});
