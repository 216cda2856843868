/** Reads everything that is known about one signal's copies, from every source. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import { STORED_JOB_FIELDS, type Intents } from "../stored/intents.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import {
  parseStoredSignal,
  PROGRESS_FIELDS,
  STORED_SIGNAL_FIELDS,
  sumProgress,
  type StoredSignal,
} from "../../../redis/progress.ts";
import { parseRosterShard, wasSeated } from "../stored/roster.ts";
import type { Route } from "../../../redis/route.ts";
import type { BookedOrder } from "../brokers/port.ts";
import type { OrderRecord } from "../../records/port.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { ShardPicture, SignalPicture, Told } from "./copies.ts";
import type { Sources } from "./sources.ts";

/** How many shards are read at once. */
const AT_ONCE = 8;

export interface Known {
  readonly id: SignalId;
  readonly channel: string;
  readonly acceptedAtMs: number;
  readonly deadlineMs: number;
  readonly followers: number;
  /** For a close: the signals whose positions it closes. */
  readonly closes?: readonly SignalId[];
}

export async function readStored(
  { home }: Sources,
  id: SignalId,
): Promise<StoredSignal | undefined> {
  const key = HomeKeys.ofSignal(id).signal(id);
  return parseStoredSignal(await home.send("HMGET", [key, ...STORED_SIGNAL_FIELDS]));
}

/**
 * Outcomes are read before the brokers' lists, so that an order reported as placed
 * is on its list by then.
 */
export async function pictureOf(
  sources: Sources,
  { id, channel, acceptedAtMs, deadlineMs, followers }: Known,
  events: ReadonlyMap<string, readonly Told[]>,
): Promise<SignalPicture> {
  const stored = await readStored(sources, id);
  const shards = stored ? await readShards(sources, stored) : undefined;
  const counted = stored ? await readCounted(sources, stored) : undefined;
  const orders = await sources.records.orders.find({ where: { signal: id } });
  const records = new Map<string, Told>();
  for (const order of orders) {
    // A settlement that arrived before its order has no outcome yet.
    if ((order as Partial<OrderRecord>).outcome !== undefined) {
      records.set(order.subscription, readOutcome(order));
    }
  }
  const names = new Set([
    ...(stored?.routes ?? []).map(({ broker }) => broker),
    ...orders.flatMap(({ broker }) => (broker === undefined ? [] : [broker])),
  ]);
  const booked = new Map<string, readonly BookedOrder[] | undefined>();
  for (const name of names.size > 0 ? names : sources.brokers.keys()) {
    const listed = await sources.brokers.get(name)?.list(id);
    booked.set(name, listed?.kind === "answered" ? listed.answers : undefined);
  }
  const known = { id, channel, acceptedAtMs, deadlineMs, followers };
  return { ...known, shards, counted, events, records, booked };
}

function readOutcome({ outcome, account, stakeCents }: OrderRecord): Told {
  const kind = outcome as Told["kind"];
  return { kind, account, ...(stakeCents === undefined ? {} : { stakeCents }) };
}

async function readShards(sources: Sources, stored: StoredSignal): Promise<ShardPicture[]> {
  const shards: ShardPicture[] = [];
  for (let start = 0; start < stored.routes.length; start += AT_ONCE) {
    const some = stored.routes.slice(start, start + AT_ONCE);
    shards.push(...(await Promise.all(some.map((route) => readShard(sources, stored, route)))));
  }
  return shards;
}

async function readShard(
  { regions }: Sources,
  { signal }: StoredSignal,
  route: Route,
): Promise<ShardPicture> {
  const { broker, shard } = route;
  const redis = regions.get(route.region);
  const unread = { broker, shard, intended: undefined, members: undefined };
  if (!redis) return { ...unread, enqueued: false, reported: false };
  const keys = new RegionKeys(route.partition);
  const [enqueued, job, members] = await Promise.all([
    redis.send("HEXISTS", [keys.enqueued(signal.id), `${broker}/${shard}`]),
    redis.send("HMGET", [
      keys.job(signal.id, broker, shard),
      STORED_JOB_FIELDS[0],
      "outcomes",
    ]) as Promise<(string | null)[]>,
    readMembers(redis, keys.rosterShard(signal.channel as ChannelId, broker, shard), route),
  ]);
  const [intents = null, outcomes = null] = job;
  const intended = intents === null ? undefined : listIntended(JSON.parse(intents) as Intents);
  const reported = outcomes !== null;
  return { broker, shard, enqueued: Boolean(enqueued), reported, intended, members };
}

function listIntended({ orders, skips }: Intents): ShardPicture["intended"] {
  return [...orders, ...skips].map(([subscription]) => subscription);
}

/** Undefined if the shard now has fewer members at the route's version than the route counted. */
async function readMembers(
  redis: Redis,
  key: string,
  { version, count }: Route,
): Promise<ShardPicture["members"]> {
  const rows = (await redis.send("HGETALL", [key])) as Record<string, string>;
  const members = parseRosterShard(Object.entries(rows).flat())
    .filter((member) => wasSeated(member, version))
    .map(({ subscription }) => subscription);
  return members.length === count ? members : undefined;
}

async function readCounted({ regions }: Sources, stored: StoredSignal): Promise<number> {
  const places = new Map(stored.routes.map((each) => [`${each.region}/${each.partition}`, each]));
  const parts = await Promise.all(
    [...places.values()].map(async ({ region, partition }) => {
      const key = new RegionKeys(partition).progress(stored.signal.id);
      return await regions.get(region)?.send("HMGET", [key, ...PROGRESS_FIELDS]);
    }),
  );
  const { counts } = sumProgress(
    stored,
    parts.filter((part) => part !== undefined),
  );
  return counts.placed + counts.rejected + counts.skipped + counts.unknown;
}
