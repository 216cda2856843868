import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { CHANNEL, followerOf } from "../../../tests/support/copier.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { parseRosterShard, wasSeated } from "../stored/roster.ts";
import { prune } from "./prune.ts";
import { seat } from "./seat.ts";

const REGION = new RegionKeys(0);
const DAY_MS = 86_400_000;
const ROSTER = { partition: 0, broker: "desk", channel: CHANNEL };

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

/** Returns the version of the shard. */
async function set(index: number, version: number, state: "active" | "left" = "active") {
  const subscriptions = [followerOf(index, { version, state })];
  const { shards } = await redis.run(seat, { ...ROSTER, subscriptions });
  return shards[0]?.version ?? 0;
}

const forget = (routed: number, keptMs = DAY_MS) =>
  redis.run(prune, { ...ROSTER, shard: 0, routed, keptMs });

/** Makes the last note of the routed version a day older. */
async function passDay(): Promise<void> {
  const head = REGION.rosterHead(CHANNEL, "desk");
  const [version, at] = String(await redis.send("HGET", head, "noted:0")).split(",");
  await redis.send("HSET", head, "noted:0", `${version},${Number(at) - DAY_MS}`);
}

const rows = async () =>
  parseRosterShard(Object.entries(await redis.hash(REGION.rosterShard(CHANNEL, "desk", 0))).flat());
const members = async (version: number) =>
  (await rows())
    .filter((each) => wasSeated(each, version))
    .map(({ subscription }) => String(subscription));

test("a follower who left is deleted once no job can name them: a day after a later version was routed", async () => {
  const both = (await set(1, 1), await set(2, 1));
  const one = await set(2, 2, "left");
  expect(await forget(one)).toBe(0);
  expect(await members(both)).toEqual(["sub-0001", "sub-0002"]);
  // Before the day is over nothing is deleted, however many times it runs.
  expect(await forget(one)).toBe(0);
  await passDay();
  expect(await forget(one)).toBe(1);
  expect(await members(one)).toEqual(["sub-0001"]);
  expect(await redis.hash(REGION.rosterSeats(CHANNEL, "desk"))).toEqual({ "sub-0001": "0" });
});

test("a follower who left after that version stays: jobs of that version still name them", async () => {
  const both = (await set(1, 1), await set(2, 1));
  await forget(both);
  const one = await set(2, 2, "left");
  await passDay();
  expect(await forget(one)).toBe(0);
  expect(await members(both)).toEqual(["sub-0001", "sub-0002"]);
});

test("the row of a follower who came back stays, without the joins and leaves that no job can name", async () => {
  await set(1, 1);
  await set(1, 2, "left");
  const back = await set(1, 3);
  await forget(back);
  await passDay();
  expect(await forget(back)).toBe(0);
  expect(
    (await rows()).map(({ turns, subscriptionVersion }) => [turns, subscriptionVersion]),
  ).toEqual([[[back], 3]]);
  expect(await members(back)).toEqual(["sub-0001"]);
});

test("a deleted follower can subscribe again, at a newer version", async () => {
  await set(1, 1);
  const gone = await set(1, 2, "left");
  await forget(gone);
  await passDay();
  expect(await forget(gone)).toBe(1);
  const again = await set(1, 3);
  expect(await members(again)).toEqual(["sub-0001"]);
});

test("a row that cannot be read stays, and the others are still deleted", async () => {
  await set(1, 1);
  await set(2, 1);
  const one = await set(2, 2, "left");
  await redis.send("HSET", REGION.rosterShard(CHANNEL, "desk", 0), followerOf(1).id, "[1,[");
  await forget(one);
  await passDay();
  expect(await forget(one)).toBe(1);
  expect((await rows()).map(({ subscription }) => String(subscription))).toEqual(["sub-0001"]);
});
