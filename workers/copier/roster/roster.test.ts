/** Projection and checks with a real Redis and real records. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  asId,
  signalIdIn,
  type AccountId,
  type ChannelId,
  type HookId,
  type PersonId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { SubscriptionState } from "../../../domain/copier/subscription.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { HomeKeys, hookKey, RegionKeys } from "../../../redis/keys.ts";
import { parseRosterShard, SHARD_SIZE, wasSeated } from "../stored/roster.ts";
import { seat } from "./seat.ts";
import { parseRoutes, type Route } from "../../../redis/route.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { until } from "../../../tests/support/wait.ts";
import { chain, FIRST_HASH, linkHash } from "../dispatch/chain.ts";
import { openConnections } from "../../runtime/connections.ts";
import type { Records, SubscriptionRecord } from "../../records/port.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { run } from "../../runtime/redis.ts";
import { checkRoster } from "./check.ts";
import { flushOutbox, followOutbox, projectNow, type OutboxPlaces } from "./outbox.ts";
import { checkRequested } from "./requested.ts";
import { recordSettings } from "./settings.ts";
import { projectSubscriptions, targetsOf } from "./projector.ts";

const server = await startRedis();
const connections = await openConnections({
  FANFARE_REDIS_URL: server.url,
  FANFARE_PARTITIONS: 2,
  FANFARE_REGION: "local",
});
const targets = targetsOf(connections);
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
  connections.close();
  await server.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const channel = asId<ChannelId>("demo");

test("followers are divided into shards of bounded size, and the routes count them all", async () => {
  await record(many(2_000));
  expect(await flushOutbox(records, targets)).toBe(2_000);
  expect(await flushOutbox(records, targets)).toBe(0);
  const routes = await readRoutes();
  expect(routes.reduce((sum, { count }) => sum + count, 0)).toBe(2_000);
  for (const route of routes) {
    expect(route.count).toBeLessThanOrEqual(SHARD_SIZE);
    expect(await seated(route)).toHaveLength(route.count);
  }
  // A new shard starts only when the one before it is full.
  for (const partition of targets.partitions.all()) {
    const counts = routes.filter((each) => each.partition === partition).map(({ count }) => count);
    expect(counts.filter((count) => count < SHARD_SIZE).length).toBeLessThanOrEqual(1);
  }
});

test("a follower who leaves and joins again is in the snapshots of exactly the versions of their membership", async () => {
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

test("a roster that lost its last change is restored when a worker asks for it, and no other is", async () => {
  await record([one("s", 1)]);
  await flushOutbox(records, targets);
  const { partition } = (await readRoutes())[0]!;
  const keys = new RegionKeys(partition);
  const row = (await redis.send("HGET", [keys.rosterShard(channel, "desk", 0), "s"])) as string;
  const lost = Number(await redis.send("HGET", [keys.rosterHead(channel, "desk"), "version:0"]));
  await record([one("s", 2, "paused")]);
  await flushOutbox(records, targets);
  const [named] = await readRoutes();
  // Like a replica that took over before it received the change.
  await redis.send("HSET", [keys.rosterShard(channel, "desk", 0), "s", row]);
  await redis.send("HSET", [keys.rosterHead(channel, "desk"), "version:0", String(lost)]);
  expect(await checkRequested(records, targets, redis)).toBe(0);
  await redis.send("SADD", [keys.rostersBehind, channel]);
  expect(await checkRequested(records, targets, redis)).toBe(1);
  const [route] = await readRoutes();
  expect(route!.version).toBeGreaterThanOrEqual(named!.version);
  expect(await members(route!)).toMatchObject([{ state: "paused", subscriptionVersion: 2 }]);
  expect(await checkRequested(records, targets, redis)).toBe(0);
});

test("a roster that was behind agrees with the records, above every version that a route names", async () => {
  await record(many(10));
  await flushOutbox(records, targets);
  const [route, other] = await readRoutes();
  if (!route || !other) throw new Error("both partitions are routed to");
  const keys = new RegionKeys(route.partition);
  const head = keys.rosterHead(channel, route.broker);
  const rows = keys.rosterShard(channel, route.broker, route.shard);
  const [spoilt = "", lost = ""] = await seated(route);
  // One row is lost, another cannot be read, and the last version is gone.
  await redis.send("HDEL", [rows, lost]);
  await redis.send("HDEL", [keys.rosterSeats(channel, route.broker), lost]);
  await redis.send("HSET", [rows, spoilt, "[1,["]);
  await redis.send("HSET", [head, `version:${route.shard}`, "1", `count:${route.shard}`, "1"]);
  const wanted = (await redis.send("HGETALL", [head])) as Record<string, string>;
  expect(Number(wanted[`version:${route.shard}`])).toBeLessThan(route.version);
  await redis.send("SADD", [keys.rostersBehind, channel]);
  expect(await checkRequested(records, targets, redis)).toBe(1);
  expect(await checkRequested(records, targets, redis)).toBe(0);
  const repaired = (await readRoutes()).find(({ partition }) => partition === route.partition);
  expect(repaired?.version).toBeGreaterThan(route.version);
  expect(repaired?.count).toBe(route.count);
  if (repaired) expect(await seated(repaired)).toHaveLength(route.count);
});

test("a shard that lost a version and gets no further change is raised above the version of its route", async () => {
  await record(many(10));
  await flushOutbox(records, targets);
  const [route] = await readRoutes();
  if (!route) throw new Error("nobody is routed to");
  const keys = new RegionKeys(route.partition);
  const head = keys.rosterHead(channel, route.broker);
  const before = String(route.version - 1);
  await redis.send("HSET", [head, "version", before, `version:${route.shard}`, before]);
  await redis.send("SADD", [keys.rostersBehind, channel]);
  expect(await checkRequested(records, targets, redis)).toBe(1);
  const version = await redis.send("HGET", [head, `version:${route.shard}`]);
  expect(Number(version)).toBeGreaterThanOrEqual(route.version);
  expect(await readRoutes()).toContainEqual({ ...route, version: Number(version) });
});

test("the request of a channel that cannot be checked remains, and the others do not wait", async () => {
  const [bad, good] = ["bad", "good"].map((each) => asId<ChannelId>(each)) as [
    ChannelId,
    ChannelId,
  ];
  await record([elsewhere("b", bad), elsewhere("g", good)]);
  await flushOutbox(records, targets);
  const keys = new RegionKeys(0);
  await redis.send("SET", [new HomeKeys(targets.partitions.ofChannel(bad)).routes(bad), "no hash"]);
  await redis.send("SADD", [keys.rostersBehind, bad, good]);
  expect(await checkRequested(records, targets, redis)).toBe(1);
  expect(await redis.send("SMEMBERS", [keys.rostersBehind])).toEqual([bad]);
});

test("an older version of a subscription never overwrites a newer one", async () => {
  await project(one("s", 3, "paused"));
  expect(await projectSubscriptions(records, targets, [one("s", 2, "active")])).toBe(0);
  const [route] = await readRoutes();
  expect(await members(route!)).toMatchObject([{ state: "paused", subscriptionVersion: 3 }]);
});

test("a projection that was cut off between membership and route is completed by the next", async () => {
  const { _id, outbox: _, ...rest } = one("s");
  const subscription = { id: _id as SubscriptionId, ...rest };
  const partition = targets.partitions.ofAccount(subscription.account);
  await run(redis, seat, { partition, broker: "desk", channel, subscriptions: [subscription] });
  expect(await readRoutes()).toEqual([]);
  await record([one("s")]);
  await flushOutbox(records, targets);
  expect(await readRoutes()).toMatchObject([{ partition, count: 1 }]);
});

test("a change during the projection of an older one stays in the outbox", async () => {
  await record([one("s", 1)]);
  const older = (await records.subscriptions.get("s"))!;
  await record([one("s", 2, "paused")]);
  await projectNow(records, targets, older);
  expect(await records.subscriptions.get("s")).toMatchObject({ version: 2, outbox: true });
  await flushOutbox(records, targets);
  expect(await records.subscriptions.get("s")).toMatchObject({ version: 2, outbox: false });
});

test("one person who adds to the outbox without end does not delay the others", async () => {
  const places: OutboxPlaces = new Map();
  const edited = many(2_000);
  await record([...edited, one("zoe")]);
  await flushOutbox(records, targets, places);
  expect(await records.subscriptions.get("zoe")).toMatchObject({ outbox: true });
  await record(edited.map((each) => ({ ...each, version: 2 })));
  await flushOutbox(records, targets, places);
  expect(await records.subscriptions.get("zoe")).toMatchObject({ outbox: false });
  expect(await flushOutbox(records, targets, places)).toBe(2_000);
  await flushOutbox(records, targets, places);
  expect(await records.subscriptions.find({ where: { outbox: true } })).toEqual([]);
});

test("following the outbox projects a recorded change within a second", async () => {
  const stop = new AbortController();
  const following = followOutbox(records, targets, stop.signal);
  const startedAt = Date.now();
  await record([one("s")]);
  await until("it is routed", async () => (await readRoutes()).length === 1);
  expect(Date.now() - startedAt).toBeLessThan(1_000);
  stop.abort();
  await following;
});

test("a follower's settings are merged into each of their rows, and an older projection never overwrites them", async () => {
  await record([one("s"), one("t"), { ...one("other"), follower: asId<PersonId>("another") }]);
  await flushOutbox(records, targets);
  const older = (await records.subscriptions.get("s"))!;
  const plan = { maxStakeCents: 50 };
  await recordSettings(records, "follower:someone", { plan, paused: true });
  // The process that recorded it dies here. The change is in the outbox.
  await flushOutbox(records, targets);
  expect(await projectSubscriptions(records, targets, [older])).toBe(0);
  const rows = (await Promise.all((await readRoutes()).map(members))).flat();
  const byName = new Map(rows.map((row) => [row.subscription as string, row]));
  for (const name of ["s", "t"]) {
    expect(byName.get(name)).toMatchObject({
      subscriptionVersion: 2,
      plan: { sizing: { stakeCents: 100 }, maxStakeCents: 50, pausedBy: "follower" },
    });
  }
  expect(byName.get("other")).toMatchObject({ subscriptionVersion: 1 });
  expect(byName.get("other")?.plan).not.toHaveProperty("pausedBy");
  expect(await flushOutbox(records, targets)).toBe(0);
  await redis.send("FLUSHALL", []);
  await checkRoster(records, targets);
  const rebuilt = (await Promise.all((await readRoutes()).map(members))).flat();
  expect(rebuilt.filter(({ plan: { pausedBy } }) => pausedBy === "follower")).toHaveLength(2);
});

test("a subscription made while its follower's settings change gets them, in either order of recording", async () => {
  await recordSettings(records, "follower:someone", { plan: {}, paused: true });
  await record([one("s")]);
  await projectNow(records, targets, one("s"));
  const [route] = await readRoutes();
  expect((await members(route!))[0]?.plan.pausedBy).toBe("follower");
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

test("a check ends memberships that are not recorded, and no others", async () => {
  await record([...many(10), elsewhere("moved", "other")]);
  await flushOutbox(records, targets);
  await projectSubscriptions(records, targets, [one("stranger"), one("moved")]);
  expect(await checkRoster(records, targets)).toMatchObject({ left: 2, projected: 0 });
  const names = (await Promise.all((await readRoutes()).map(seated))).flat();
  expect(names).toHaveLength(10);
  expect(names).not.toContain("stranger");
  expect(await checkRoster(records, targets)).toMatchObject({ left: 0 });
});

test("a check removes routes to shards that are gone", async () => {
  await openChannel();
  const key = new HomeKeys(targets.partitions.ofChannel(channel)).routes(channel);
  await redis.send("HSET", [key, "local/desk/0/9", "1700000000000,12"]);
  expect(await checkRoster(records, targets)).toMatchObject({ rerouted: 1 });
  expect(await readRoutes()).toEqual([]);
});

test("two checks a day apart delete followers who left before the first, and none who left since", async () => {
  await openChannel();
  await record([...many(4), one("gone")]);
  await checkRoster(records, targets);
  await record([one("gone", 2, "left"), one("s0", 2, "left")]);
  await flushOutbox(records, targets);
  await passADay();
  expect(await checkRoster(records, targets)).toMatchObject({ pruned: 0 });
  expect(await checkRoster(records, targets)).toMatchObject({ pruned: 0 });
  await passADay();
  expect(await checkRoster(records, targets)).toMatchObject({ pruned: 2, projected: 0 });
  const names = (await Promise.all((await readRoutes()).map(seated))).flat();
  expect(names.toSorted()).toEqual(["s1", "s2", "s3"]);
});

test("a home that lost its data continues after the last recorded number and link, over a number that is lost", async () => {
  await openChannel();
  const log = await recordLog([1, 2, 3, 5], 3);
  const home = new HomeKeys(targets.partitions.ofChannel(channel));
  expect(await checkRoster(records, targets)).toMatchObject({ restored: 1 });
  expect(await checkRoster(records, targets)).toMatchObject({ restored: 0 });
  expect(await redis.send("HGET", [home.channel(channel), "sequence"])).toBe("5");
  expect(JSON.parse(String(await redis.send("GET", [home.chainHead(channel)])))).toEqual({
    sequence: 3,
    hash: log.at(2)?.link ?? "",
  });

  const put = (await redis.send("XRANGE", [home.signals, "-", "+"])) as [string, string[]][];
  expect(put).toHaveLength(1);
  const entries = put.map(([entry, flat]) => ({
    id: entry,
    fields: new Map([
      [flat[0], flat[1]],
      [flat[2], flat[3]],
      [flat[4], flat[5]],
      [flat[6], flat[7]],
    ] as [string, string][]),
  }));
  await redis.send("XGROUP", ["CREATE", home.signals, "chain", "0"]);
  const partition = targets.partitions.ofChannel(channel);
  expect(await chain(redis, partition, async (hash) => hash, entries)).toEqual(["acked"]);
  const [link] = (await redis.send("XRANGE", [home.links, "-", "+"])) as [string, string[]][];
  expect(JSON.parse(link?.[1][1] ?? "")).toMatchObject({
    sequence: 5,
    previousHash: log.at(2)?.link,
    linkHash: linkHash(log.at(2)?.link ?? "", log.at(3)!.signal, SHA256),
  });
});

test("a log that is ahead of the records, because they lag, does not change", async () => {
  await openChannel();
  await recordLog([1, 2, 3], 2);
  const home = new HomeKeys(targets.partitions.ofChannel(channel));
  const head = JSON.stringify({ sequence: 7, hash: "a".repeat(64) });
  await redis.send("HSET", [home.channel(channel), "sequence", "9"]);
  await redis.send("SET", [home.chainHead(channel), head]);
  expect(await checkRoster(records, targets)).toMatchObject({ restored: 0 });
  expect(await redis.send("HGET", [home.channel(channel), "sequence"])).toBe("9");
  expect(await redis.send("GET", [home.chainHead(channel)])).toBe(head);
  expect(await redis.send("EXISTS", [home.signals])).toBe(0);
});

test("a hundred thousand subscriptions are rebuilt into an empty Redis in seconds", async () => {
  await openChannel();
  await record(many(100_000));
  const startedMs = performance.now();
  expect(await checkRoster(records, targets)).toMatchObject({ projected: 100_001 });
  const tookMs = performance.now() - startedMs;
  // It takes two to four seconds on two cores. One round trip for each subscription would take
  // minutes on a network.
  expect(tookMs).toBeLessThan(30_000);
  const routes = await readRoutes();
  expect(routes.reduce((sum, { count }) => sum + count, 0)).toBe(100_000);
}, 90_000);

const SHA256 = "c".repeat(64);

async function openChannel(): Promise<void> {
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
}

/** Makes the notes of the checks a day older. */
async function passADay(): Promise<void> {
  for (const partition of targets.partitions.all()) {
    const head = new RegionKeys(partition).rosterHead(channel, "desk");
    const fields = (await redis.send("HGETALL", [head])) as Record<string, string>;
    for (const [field, noted] of Object.entries(fields)) {
      if (!field.startsWith("noted:")) continue;
      const [version = "", atMs = ""] = noted.split(",");
      await redis.send("HSET", [head, field, `${version},${Number(atMs) - ANSWER_TTL_MS}`]);
    }
  }
}

/** Records signals as the recorder writes them, linked up to a number. */
async function recordLog(sequences: readonly number[], linkedTo: number) {
  let previousHash = FIRST_HASH;
  const log = sequences.map((sequence) => {
    const id = signalIdIn(0, sequence.toString(16).padStart(32, "0"));
    const signal = {
      id,
      channel,
      sender: asId<PersonId>("demo-provider"),
      provider: asId<PersonId>("demo-provider"),
      symbol: "R_100",
      contract: "CALL" as const,
      stakeCents: 100,
      durationSeconds: 60,
      sequence,
      acceptedAtMs: 1_700_000_000_000 + sequence,
      deadlineMs: 1_700_000_001_000 + sequence,
    };
    const link = linkHash(previousHash, signal, SHA256);
    const before = previousHash;
    previousHash = link;
    return { signal, before, link };
  });
  await records.signals.merge(
    log.map(({ signal: { id, ...signal }, before, link }) => ({
      ...signal,
      _id: id,
      sha256: SHA256,
      followers: 0,
      ...(signal.sequence <= linkedTo ? { previousHash: before, linkHash: link } : {}),
    })),
  );
  return log;
}

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
  await projectSubscriptions(records, targets, [subscription]);
}

/** Includes routes with a count of zero, which `parseRoutes` leaves out. */
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
