/**
 * A job ends even if the state it is decided on changes without end, and only
 * changes that apply to it make it decide again.
 */
import { createHash } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Scope } from "../../../domain/copier/scope.ts";
import type { StopAction } from "../../../domain/copier/stop.ts";
import {
  CHANNEL,
  followerOf,
  PARTITIONS,
  readBooks,
  readOutcomes,
  startCopier,
  subscribe,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { untilOldEnough } from "../../../tests/support/redis.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { setHalt } from "../stored/halt.ts";
import { intend } from "../stored/intents.ts";
import { setLayer } from "../stored/layers.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { HaltCache } from "./halt-cache.ts";
import { LayerCache } from "./layer-cache.ts";
import { runLoops } from "./loops.ts";
import { RosterCache } from "./roster-cache.ts";

setDefaultTimeout(30_000);

/** All are in one partition, and so in one job. */
const [ONE, TWO, THREE] = Array.from({ length: 64 }, (_, index) => index).filter(
  (index) => PARTITIONS.ofAccount(followerOf(index).account) === 0,
) as [number, number, number];
const INTEND = createHash("sha1").update(intend.lua).digest("hex");

let desk: TestDesk;
let copier: Copier;
let change: () => Promise<void> = async () => {};
let stales = 0;
let version = 1;
const stop = new AbortController();
let loops: Promise<void>[];

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, 0, { deadlineMs: 5_000 });
  const all = [ONE, TWO, THREE].map((index) => followerOf(index));
  await desk.deposit(
    all.map(({ account }) => account),
    1_000_000,
  );
  await subscribe(copier.redis, all);
  const redis: Redis = {
    async send(command, args) {
      // Right before the comparison, so that no worker is fast enough.
      if (command === "EVALSHA" && args[0] === INTEND) await change();
      return await copier.redis.send(command, args);
    },
    close() {},
  };
  const parts = {
    redis,
    broker: desk.broker,
    partition: 0,
    clock: SYSTEM_CLOCK,
    roster: new RosterCache(redis),
    halts: new HaltCache(redis),
    layers: new LayerCache(redis),
    onStale() {
      stales += 1;
    },
  };
  loops = runLoops(parts, {
    connect: () => connectRedis(desk.redisUrl),
    consumer: "one",
    reclaimIdleMs: 6e4,
    stop: stop.signal,
  });
  await untilOldEnough();
}, 30_000);
afterEach(() => {
  change = async () => {};
});
afterAll(async () => {
  stop.abort();
  await Promise.all(loops);
  copier.stop();
  await desk.stop();
});

async function edit(scope: SettingsScope): Promise<void> {
  version += 1;
  const settings = { plan: { maxStakeCents: 10_000 + version }, paused: false };
  await run(copier.redis, setLayer, { partition: 0, scope, version, settings });
}

async function set(action: StopAction, scope: Scope): Promise<void> {
  await run(copier.redis, setHalt, { key: new RegionKeys(0).halts, scope, action });
}

async function outcomes(): Promise<Record<string, readonly string[]>> {
  stales = 0;
  const id = await copier.send({ durationSeconds: 3_600 });
  await copier.complete(id, 4_000);
  const byFollower = Object.fromEntries(await readOutcomes(copier.redis, id));
  const { contracts } = await readBooks(copier.redis, id);
  const placed = Object.values(byFollower).filter(([each]) => each === "placed");
  expect(contracts.size).toBe(placed.length);
  return byFollower;
}

const expected = (...each: readonly string[]) =>
  Object.fromEntries([ONE, TWO, THREE].map((index, n) => [followerOf(index).id, [each[n] ?? ""]]));
const PLACED = expected("placed", "placed", "placed");

test("a job whose own channel and roster change without pause still ends", async () => {
  change = async () => {
    await edit(`channel:${CHANNEL}`);
    await subscribe(copier.redis, [followerOf(ONE, { version })]);
  };
  expect(await outcomes()).toEqual(PLACED);
  expect(stales).toBe(3);
});

test("the decision uses the state of the third stale reply", async () => {
  const pauses = { plan: {}, paused: true };
  let times = 0;
  change = async () => {
    times += 1;
    version += 1;
    const scope = `channel:${CHANNEL}` as const;
    // Paused in the third reply, and changed only after it.
    const settings = times === 3 ? pauses : { plan: { maxOpen: 100 + times }, paused: false };
    await run(copier.redis, setLayer, { partition: 0, scope, version, settings });
  };
  const paused = "skipped: CHANNEL_PAUSED";
  expect(await outcomes()).toEqual(expected(paused, paused, paused));
  await edit(`channel:${CHANNEL}`);
});

test("a stop applies also then (P4), and a job whose stops come and go still ends", async () => {
  const [one, two] = [ONE, TWO].map((index): Scope => `follower:${followerOf(index).follower}`) as [
    Scope,
    Scope,
  ];
  let times = 0;
  change = async () => {
    times += 1;
    await edit(`channel:${CHANNEL}`);
    // No follower is stopped until the job's last decision. Then one of them is.
    if (times < 4) return;
    await set(times % 2 === 0 ? "halt" : "lift", one);
    await set(times % 2 === 0 ? "lift" : "halt", two);
  };
  expect(await outcomes()).toEqual(expected("skipped: HALTED", "skipped: HALTED", "placed"));
  await set("lift", one);
  await set("lift", two);
});

test("settings of other channels, providers and followers make no job decide again", async () => {
  change = async () => {
    await edit("channel:another");
    await edit("provider:another");
  };
  await outcomes();
  expect(await outcomes()).toEqual(PLACED);
  expect(stales).toBe(0);
  change = () => edit("platform");
  expect(await outcomes()).toEqual(PLACED);
  expect(stales).toBe(3);
});
