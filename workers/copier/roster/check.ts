/**
 * Compares the roster with the records, both ways. A record that is missing in
 * Redis is projected. A membership that the records do not have is ended. A route
 * that does not match its shard is written again. A log that is behind its record
 * is raised. Afterwards Redis agrees with the records, even if it had lost data.
 */
import { getLogger } from "@logtape/logtape";
import type { ChannelId, SubscriptionId } from "../../../domain/ids.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { parseRosterShard, wasSeated, type RosterMember } from "../stored/roster.ts";
import { parseRoutes, type Route } from "../../../redis/route.ts";
import { chunks } from "../../records/chunks.ts";
import type { Records, SubscriptionRecord } from "../../records/port.ts";
import { checkLayers } from "./layers.ts";
import { mendLog } from "./log.ts";
import {
  projectChannels,
  projectHooks,
  projectRoster,
  projectSubscriptions,
  rosterOf,
  writeRoutes,
  type Roster,
  type Targets,
} from "./projector.ts";
import { pruneRosters } from "./prune.ts";
import { raiseShard } from "./raise-shard.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface RosterCheck {
  readonly channels: number;
  readonly hooks: number;
  readonly settings: number;
  readonly subscriptions: number;
  /** How many of these were missing in Redis, or older there. */
  readonly projected: number;
  /** Memberships and policies that the records do not have. */
  readonly left: number;
  /** Routes that did not match their shard. */
  readonly rerouted: number;
  /** Rows of followers who left long ago. */
  readonly pruned: number;
  /** Channels whose log in Redis was behind the records. */
  readonly restored: number;
}

/**
 * Checks everything, or only one region, so that the check does not wait for
 * another region that is away.
 */
export async function checkRoster(
  records: Records,
  all: Targets,
  onlyRegion?: string,
): Promise<RosterCheck> {
  const targets = onlyRegion === undefined ? all : regionTargets(all, onlyRegion);
  let projected = 0;
  const channels: ChannelId[] = [];
  for await (const some of chunks(records.channels.each({}))) {
    channels.push(...some.map(({ _id }) => _id as ChannelId));
    if (onlyRegion === undefined) projected += await projectChannels(targets, some);
  }
  let hooks = 0;
  for await (const some of chunks(records.hooks.each({}))) {
    hooks += some.length;
    if (onlyRegion === undefined) projected += await projectHooks(targets, some);
  }
  const layers = await checkLayers(records, targets);
  projected += layers.projected;
  let subscriptions = 0;
  const known: Known = new Map();
  let underWay: Promise<number> = Promise.resolve(0);
  for await (const each of chunks(records.subscriptions.each({}))) {
    const some =
      onlyRegion === undefined ? each : each.filter(({ region }) => region === onlyRegion);
    subscriptions += some.length;
    for (const each of some) remember(known, targets, each);
    // The next chunk is read while this one is written.
    projected += await underWay;
    underWay = projectSubscriptions(records, targets, some);
    // It is awaited one chunk later. Until then this prevents an unhandled rejection.
    underWay.catch(() => undefined);
  }
  projected += await underWay;
  let left = layers.dropped;
  for (const [region, redis] of targets.regions)
    left += await leaveStrangers(records, targets, known, region, redis);
  let rerouted = 0;
  let pruned = 0;
  let restored = 0;
  for (const channel of channels) {
    rerouted += await repairRoutes(targets, channel, onlyRegion);
    pruned += await pruneRosters(targets, channel);
    if (onlyRegion === undefined && (await mendLog(records, targets, channel))) restored += 1;
  }

  const { settings } = layers;
  const walked = { channels: channels.length, hooks, settings, subscriptions };
  const check = { ...walked, projected, left, rerouted, pruned, restored };
  getLogger(["fanfare", "roster"]).info(
    "roster checked: {channels} channels, {hooks} hooks, {settings} settings, {subscriptions} subscriptions; {projected} projected, {left} left, {rerouted} rerouted, {pruned} pruned, {restored} restored",
    check,
  );
  return check;
}

function regionTargets(targets: Targets, region: string): Targets {
  const redis = targets.regions.get(region);
  return { ...targets, regions: new Map(redis ? [[region, redis]] : []) };
}

/**
 * Writes what Redis lacks of one channel's roster and routes. Afterwards each
 * shard has at least the version that its route names. A job that waits for that
 * version can continue, because no further change will arrive.
 */
export async function checkChannel(
  records: Records,
  targets: Targets,
  channel: ChannelId,
): Promise<number> {
  let projected = 0;
  const known: Known = new Map();
  for await (const some of chunks(records.subscriptions.each({ channel }))) {
    for (const each of some) remember(known, targets, each);
    projected += await projectSubscriptions(records, targets, some);
  }
  const left = await leaveStrangersOfChannel(records, targets, known, channel);
  const rerouted = await repairRoutes(targets, channel);
  getLogger(["fanfare", "roster"]).info(
    "the roster of {channel} was behind: {projected} projected, {left} left, {rerouted} rerouted",
    { channel, projected, left, rerouted },
  );
  return projected;
}

async function leaveStrangersOfChannel(
  records: Records,
  targets: Targets,
  known: Known,
  channel: ChannelId,
): Promise<number> {
  const rosters = new Map<string, Roster>();
  for (const { region, partition, broker } of await readRoutes(targets, channel)) {
    const roster = { region, partition, broker, channel };
    rosters.set(formatKey(roster), roster);
  }
  let left = 0;
  for (const roster of rosters.values()) {
    const redis = targets.regions.get(roster.region);
    if (!redis) continue;
    const key = new RegionKeys(roster.partition).rosterSeats(channel, roster.broker);
    for await (const seats of scan(redis, "HSCAN", [key], ["COUNT", "1000"])) {
      left += await endOrphans(records, targets, known, roster, redis, seats);
    }
  }
  return left;
}

export async function readRoutes(
  { home, partitions }: Targets,
  channel: ChannelId,
): Promise<Route[]> {
  const key = new HomeKeys(partitions.ofChannel(channel)).routes(channel);
  const stored = (await home.send("HGETALL", [key])) as Record<string, string>;
  return parseRoutes(Object.entries(stored).flat());
}

/** Roster → the subscriptions that the records have in it. */
type Known = Map<string, Set<string>>;

function remember(known: Known, { partitions }: Targets, record: SubscriptionRecord): void {
  const key = formatKey(rosterOf(partitions, record));
  const ids = known.get(key) ?? new Set();
  known.set(key, ids.add(record._id));
}

function formatKey({ region, broker, partition, channel }: Roster): string {
  return `${region}/${broker}/${partition}/${channel}`;
}

async function leaveStrangers(
  records: Records,
  targets: Targets,
  known: Known,
  region: string,
  redis: Redis,
): Promise<number> {
  let left = 0;
  for await (const key of rosterKeys(redis)) {
    const found = RegionKeys.rosterOf(key);
    if (!found) continue;
    const roster: Roster = { region, ...found };
    for await (const seats of scan(redis, "HSCAN", [key], ["COUNT", "1000"])) {
      left += await endOrphans(records, targets, known, roster, redis, seats);
    }
  }
  return left;
}

/** Scans every node of a cluster, because a scan sees only the keys of its own node. */
async function* rosterKeys(redis: Redis): AsyncIterable<string> {
  const pattern = ["MATCH", "region:*:seats", "COUNT", "1000"];
  for (const node of (await redis.primaries?.()) ?? [redis]) {
    for await (const keys of scan(node, "SCAN", [], pattern)) yield* keys;
  }
}

async function endOrphans(
  records: Records,
  targets: Targets,
  known: Known,
  roster: Roster,
  redis: Redis,
  /** Subscription, shard, subscription, shard … */
  seats: readonly string[],
): Promise<number> {
  const shardOf = new Map<string, string>();
  const ours = known.get(formatKey(roster));
  for (let index = 0; index + 1 < seats.length; index += 2) {
    const id = seats[index] ?? "";
    if (ours?.has(id) !== true) shardOf.set(id, seats[index + 1] ?? "");
  }
  if (shardOf.size === 0) return 0;
  // Read again, because they may have subscribed after the records were read.
  const found = await records.subscriptions.find({ where: { _id: [...shardOf.keys()] } });
  for (const record of found) {
    if (formatKey(rosterOf(targets.partitions, record)) === formatKey(roster))
      shardOf.delete(record._id);
  }
  const orphans: RosterMember[] = [];
  const keys = new RegionKeys(roster.partition);
  for (const [subscription, shard] of shardOf) {
    const shardKey = keys.rosterShard(roster.channel, roster.broker, Number(shard));
    const row = await redis.send("HGET", [shardKey, subscription]);
    if (typeof row !== "string") continue;
    const [member] = parseRosterShard([subscription, row]);
    if (member && wasSeated(member, Number.MAX_SAFE_INTEGER)) orphans.push(member);
  }
  if (orphans.length === 0) return 0;
  return await projectRoster(
    targets,
    roster,
    orphans.map(({ subscription, account, expiresAtMs, plan, subscriptionVersion }) => ({
      id: subscription as SubscriptionId,
      channel: roster.channel,
      // The records do not have this follower, and the roster does not store one for a membership
      // that ends.
      follower: "nobody" as never,
      account,
      broker: roster.broker,
      region: roster.region,
      state: "left" as const,
      expiresAtMs,
      plan,
      version: subscriptionVersion + 1,
    })),
  );
}

/**
 * A shard that is missing, or is below the version that its route names, has lost
 * that version. It now agrees with the records, so it is raised above that
 * version. A shard in a region that is not ours is routed with no members.
 */
async function repairRoutes(
  targets: Targets,
  channel: ChannelId,
  onlyRegion?: string,
): Promise<number> {
  const repaired: Route[] = [];
  const routes = await readRoutes(targets, channel);
  for (const route of routes.filter(({ region }) => region === (onlyRegion ?? region))) {
    const { region, partition, broker, shard, version: routed } = route;
    const redis = targets.regions.get(region);
    const { version, count } = redis
      ? await run(redis, raiseShard, { partition, broker, channel, shard, routed })
      : { version: routed + 1, count: 0 };
    if (version !== routed || count !== route.count) repaired.push({ ...route, version, count });
  }
  return await writeRoutes(targets, channel, repaired);
}

async function* scan(
  redis: Pick<Redis, "send">,
  command: "SCAN" | "HSCAN",
  before: readonly string[],
  after: readonly string[],
): AsyncIterable<string[]> {
  let cursor = "0";
  do {
    const [next, found] = (await redis.send(command, [...before, cursor, ...after])) as [
      string,
      string[],
    ];
    cursor = next;
    yield found;
  } while (cursor !== "0");
}
