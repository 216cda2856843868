/** Records to Redis and back to agreement, on a real Redis and real records. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  asId,
  type AccountId,
  type ChannelId,
  type HookId,
  type PersonId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import type { SubscriptionState } from "../../domain/subscription.ts";
import { HomeKeys, hookKey, RegionKeys } from "../../redis/keys.ts";
import { parseRosterShard, seat, SHARD_SIZE, wasSeated } from "../../redis/roster.ts";
import { parseRoutes, type Route } from "../../redis/route.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { until } from "../../tests/support/wait.ts";
import { readEnv } from "../env.ts";
import type { ChannelRecord, Records, SubscriptionRecord } from "../records/port.ts";
import { openSqliteRecords } from "../records/sqlite/open.ts";
import { run } from "../redis-client.ts";
import { checkRoster } from "./check.ts";
import { flushOutbox, followOutbox, projectNow } from "./outbox.ts";
import { connectTargets, projectChannels, projectSubscriptions } from "./projector.ts";

const server = await startRedis();
const env = readEnv({ FANFARE_REDIS_URL: server.url, FANFARE_PARTITIONS: "2" });
if (!env.ok) throw new Error(env.faults.join());
const targets = connectTargets(env.value);
const { home: redis } = targets;
const folders: string[] = [];
let records: Records;

beforeEach(async () => {
  await redis.send("FLUSHALL", []);
  await records?.close();
  const folder = mkdtempSync(join(tmpdir(), "fanfare-roster-"));
  folders.push(folder);
  records = openSqliteRecords(folder);
});
afterAll(async () => {
  await records.close();
  targets.close();
  await server.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const channel = asId<ChannelId>("demo");

test("followers are seated in shards of bounded size, and the routes count them all", async () => {
  await record(many(2_000));
  expect(await flushOutbox(records, targets)).toBe(2_000);
  expect(await flushOutbox(records, targets)).toBe(0);
  const routes = await readRoutes();
  expect(routes.reduce((sum, { count }) => sum + count, 0)).toBe(2_000);
  for (const route of routes) {
    expect(route.count).toBeLessThanOrEqual(SHARD_SIZE);
    expect(await seated(route)).toHaveLength(route.count);
  }
  // No shard is opened before the one before it is full.
  for (const partition of targets.partitions.all()) {
    const counts = routes.filter((each) => each.partition === partition).map(({ count }) => count);
    expect(counts.filter((count) => count < SHARD_SIZE).length).toBeLessThanOrEqual(1);
  }
});

test("who leaves and joins again is in the snapshots of exactly the versions in between", async () => {
  const versions: number[] = [];
  for (const [version, state] of (["active", "left", "paused"] as const).entries()) {
    await project(one("s", version + 1, state));
    const route = (await readAllRoutes()).find(({ version: at }) => !versions.includes(at));
    versions.push(route?.version ?? 0);
  }
  expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  const [route] = await readRoutes();
  const [member] = await members(route!);
  expect(versions.map((version) => wasSeated(member!, version))).toEqual([true, false, true]);
  expect(wasSeated(member!, versions[0]! - 1)).toBe(false);
});

test("an older version of a subscription never overwrites a newer", async () => {
  await project(one("s", 3, "paused"));
  expect(await projectSubscriptions(targets, [one("s", 2, "active")])).toBe(0);
  const [route] = await readRoutes();
  expect(await members(route!)).toMatchObject([{ state: "paused", subscriptionVersion: 3 }]);
});

test("a projection that was cut off between seat and route is completed by the next", async () => {
  const { _id, outbox: _, ...rest } = one("s");
  const subscription = { id: _id as SubscriptionId, ...rest };
  const partition = targets.partitions.ofAccount(subscription.account);
  await run(redis, seat, { partition, broker: "desk", channel, subscriptions: [subscription] });
  expect(await readRoutes()).toEqual([]);
  await record([one("s")]);
  await flushOutbox(records, targets);
  expect(await readRoutes()).toMatchObject([{ partition, count: 1 }]);
});

test("a change that comes in while an older one is projected stays in the outbox", async () => {
  await record([one("s", 1)]);
  const older = (await records.subscriptions.get("s"))!;
  await record([one("s", 2, "paused")]);
  await projectNow(records, targets, older);
  expect(await records.subscriptions.get("s")).toMatchObject({ version: 2, outbox: true });
  await flushOutbox(records, targets);
  expect(await records.subscriptions.get("s")).toMatchObject({ version: 2, outbox: false });
});

test("the follower brings a recorded change to Redis within a second", async () => {
  const stop = new AbortController();
  const following = followOutbox(records, targets, stop.signal);
  const startedAt = Date.now();
  await record([one("s")]);
  await until("it is routed", async () => (await readRoutes()).length === 1);
  expect(Date.now() - startedAt).toBeLessThan(1_000);
  stop.abort();
  await following;
});

test("a channel's settings and grants are replaced by newer ones only, and its sequence stays", async () => {
  const keys = new HomeKeys(targets.partitions.ofChannel(channel));
  const at = (version: number, person: string): ChannelRecord => ({
    _id: channel,
    name: "Demo",
    provider: asId<PersonId>("demo-provider"),
    symbols: ["R_100"],
    deadlineMs: 1_000 * version,
    version,
    grants: { [asId<PersonId>(person)]: {} },
    outbox: true,
  });
  await redis.send("HSET", [keys.channel(channel), "sequence", "7"]);
  expect(await projectChannels(targets, [at(2, "new")])).toBe(1);
  expect(await projectChannels(targets, [at(1, "old")])).toBe(0);
  expect(await redis.send("HGETALL", [keys.grants(channel)])).toEqual({ new: "{}" });
  const [settings, sequence] = (await redis.send("HMGET", [
    keys.channel(channel),
    ...["settings", "sequence"],
  ])) as [string, string];
  expect(JSON.parse(settings)).toMatchObject({ deadlineMs: 2_000 });
  expect(sequence).toBe("7");
});

test("a check rebuilds an emptied Redis, and finds nothing to do a second time", async () => {
  await record(many(600));
  await records.hooks.putNewer([
    {
      _id: "h",
      hook: {
        id: asId<HookId>("h"),
        channel,
        sender: asId<PersonId>("demo-provider"),
        kind: "tradingview",
        secretSha256: "0".repeat(64),
      },
      version: 1,
      outbox: false,
    },
  ]);
  await checkRoster(records, targets);
  const before = await readRoutes();
  await redis.send("FLUSHALL", []);
  expect(await checkRoster(records, targets)).toMatchObject({ subscriptions: 600, projected: 601 });
  const after = await readRoutes();
  expect(after.reduce((sum, { count }) => sum + count, 0)).toBe(600);
  expect(Math.min(...after.map(({ version }) => version))).toBeGreaterThan(
    Math.max(...before.map(({ version }) => version)),
  );
  expect(
    JSON.parse(String(await redis.send("GET", [hookKey(asId<HookId>("h"), targets.partitions)]))),
  ).toMatchObject({
    channel: "demo",
    version: 1,
  });
  expect(await checkRoster(records, targets)).toMatchObject({
    projected: 0,
    left: 0,
    rerouted: 0,
  });
});

test("a check leaves seats that the records do not know, and keeps the others", async () => {
  await record([...many(10), elsewhere("moved", "other")]);
  await flushOutbox(records, targets);
  await projectSubscriptions(targets, [one("stranger"), one("moved")]);
  expect(await checkRoster(records, targets)).toMatchObject({ left: 2, projected: 0 });
  const names = (await Promise.all((await readRoutes()).map(seated))).flat();
  expect(names).toHaveLength(10);
  expect(names).not.toContain("stranger");
  expect(await checkRoster(records, targets)).toMatchObject({ left: 0 });
});

test("a check takes back routes to shards that are gone", async () => {
  await records.channels.putNewer([
    {
      _id: channel,
      name: "Demo",
      provider: asId<PersonId>("demo-provider"),
      symbols: [],
      deadlineMs: 1_000,
      version: 1,
      grants: {},
      outbox: false,
    },
  ]);
  const key = new HomeKeys(targets.partitions.ofChannel(channel)).routes(channel);
  await redis.send("HSET", [key, "local/desk/0/9", "1700000000000,12"]);
  expect(await checkRoster(records, targets)).toMatchObject({ rerouted: 1 });
  expect(await readRoutes()).toEqual([]);
});

function one(id: string, version = 1, state: SubscriptionState = "active"): SubscriptionRecord {
  return {
    _id: id,
    channel,
    follower: asId<PersonId>("someone"),
    account: asId<AccountId>(`acct-${id}`),
    broker: "desk",
    region: "local",
    state,
    expiresAtMs: 4_000_000_000_000,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version,
    outbox: true,
  };
}

function elsewhere(id: string, otherChannel: string): SubscriptionRecord {
  return { ...one(id), channel: asId<ChannelId>(otherChannel) };
}

function many(count: number): SubscriptionRecord[] {
  return Array.from({ length: count }, (_, n) => one(`s${n}`));
}

async function record(subscriptions: readonly SubscriptionRecord[]): Promise<void> {
  await records.subscriptions.putNewer(subscriptions);
}

async function project(subscription: SubscriptionRecord): Promise<void> {
  await projectSubscriptions(targets, [subscription]);
}

/** Also those that count nobody, which `parseRoutes` leaves out. */
async function readAllRoutes(): Promise<Pick<Route, "version" | "count">[]> {
  const key = new HomeKeys(targets.partitions.ofChannel(channel)).routes(channel);
  const stored = (await redis.send("HGETALL", [key])) as Record<string, string>;
  return Object.values(stored).map((value) => {
    const [version, count] = value.split(",");
    return { version: Number(version), count: Number(count) };
  });
}

async function readRoutes(): Promise<Route[]> {
  const key = new HomeKeys(targets.partitions.ofChannel(channel)).routes(channel);
  const stored = (await redis.send("HGETALL", [key])) as Record<string, string>;
  return parseRoutes(Object.entries(stored).flat());
}

async function members({ partition, broker, shard }: Route) {
  const key = new RegionKeys(partition).rosterShard(channel, broker, shard);
  const rows = (await redis.send("HGETALL", [key])) as Record<string, string>;
  return parseRosterShard(Object.entries(rows).flat());
}

async function seated(route: Route): Promise<string[]> {
  return (await members(route))
    .filter((member) => wasSeated(member, route.version))
    .map(({ subscription }) => subscription);
}
