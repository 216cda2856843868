/**
 * Projects records to Redis. Channels and hooks go to their home partition.
 * Subscriptions go to the roster beside their account, and from there, as routes,
 * to the home partition of their channel. Policies above the subscriptions go to
 * each region partition. Every write here may be repeated or arrive late: an older
 * version never overwrites a newer one.
 */
import type { ChannelId, HookId, SubscriptionId } from "../../../domain/ids.ts";
import { foldScopes, layUnder, type LayeredPlan } from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import type { Subscription } from "../../../domain/copier/subscription.ts";
import { HomeKeys, PartitionMap, hookKey } from "../../../redis/keys.ts";
import { projectHook } from "./hook.ts";
import { projectChannel } from "./channel.ts";
import { setLayer } from "../stored/layers.ts";
import { route } from "../../../redis/route.ts";
import { seat } from "./seat.ts";
import { SHARD_SIZE } from "../stored/roster.ts";
import type { Route } from "../../../redis/route.ts";
import type {
  ChannelRecord,
  HookRecord,
  Records,
  SettingsRecord,
  SubscriptionRecord,
} from "../../records/port.ts";
import type { Connections } from "../../runtime/connections.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/** The Redis servers that projections are written to. */
export interface Targets {
  readonly home: Redis;
  readonly regions: ReadonlyMap<string, Redis>;
  readonly partitions: PartitionMap;
}

export function targetsOf({ redis: home, regions, partitions }: Connections): Targets {
  return { home, regions, partitions };
}

/** Returns how many of the records changed something in Redis. */
export async function projectChannels(
  { home, partitions }: Targets,
  records: readonly ChannelRecord[],
): Promise<number> {
  const changed = await Promise.all(
    records.map(async ({ _id, grants, outbox: _, ...settings }) => {
      const id = _id as ChannelId;
      const keys = new HomeKeys(partitions.ofChannel(id));
      return await run(home, projectChannel, { home: keys, channel: { id, ...settings }, grants });
    }),
  );
  return changed.filter(Boolean).length;
}

export async function projectHooks(
  { home, partitions }: Targets,
  records: readonly HookRecord[],
): Promise<number> {
  const changed = await Promise.all(
    records.map(async ({ _id, hook, version }) => {
      const key = hookKey(_id as HookId, partitions);
      return await run(home, projectHook, { key, hook, version });
    }),
  );
  return changed.filter(Boolean).length;
}

/** All subscriptions of one channel at one broker in one region partition. */
export interface Roster {
  readonly region: string;
  readonly broker: string;
  readonly partition: number;
  readonly channel: ChannelId;
}

/**
 * Projects each subscription with its follower's own settings applied. The
 * settings are read after the subscription: a change of settings raises the
 * versions of the subscriptions next, so a row that missed the change is
 * overwritten.
 */
export async function projectSubscriptions(
  records: Pick<Records, "settings">,
  targets: Targets,
  subscriptionRecords: readonly SubscriptionRecord[],
): Promise<number> {
  const rosters = new Map<string, { roster: Roster; subscriptions: Subscription[] }>();
  const layers = await followerLayers(records, subscriptionRecords);
  for (const { _id, outbox: _, liveKey: __, ...rest } of subscriptionRecords) {
    const roster = rosterOf(targets.partitions, rest);
    const key = Object.values(roster).join("/");
    const group = rosters.get(key) ?? { roster, subscriptions: [] };
    const layer = layers.get(`follower:${rest.follower}`);
    const plan = layer ? layUnder(layer, rest.plan) : rest.plan;
    group.subscriptions.push({ id: _id as SubscriptionId, ...rest, plan });
    rosters.set(key, group);
  }
  const changed = await Promise.all(
    [...rosters.values()].map(async ({ roster, subscriptions }) => {
      let sum = 0;
      for (let start = 0; start < subscriptions.length; start += SHARD_SIZE) {
        const some = subscriptions.slice(start, start + SHARD_SIZE);
        sum += await projectRoster(targets, roster, some);
      }
      return sum;
    }),
  );
  return changed.reduce((sum, each) => sum + each, 0);
}

async function followerLayers(
  { settings }: Pick<Records, "settings">,
  subscriptions: readonly SubscriptionRecord[],
): Promise<Map<string, LayeredPlan>> {
  const scopes = new Set(subscriptions.map(({ follower }) => `follower:${follower}`));
  const found = await settings.find({ where: { _id: [...scopes] } });
  return new Map(found.map((follower) => [follower._id, foldScopes({ follower })]));
}

/** Projects the policy of a scope above the subscriptions to each region partition. */
export async function projectLayers(
  { regions, partitions }: Targets,
  settings: readonly SettingsRecord[],
): Promise<number> {
  const changed = await Promise.all(
    settings.map(async ({ _id, version, plan, paused }) => {
      const layer = { scope: _id as SettingsScope, version, settings: { plan, paused } };
      const written = await Promise.all(
        [...regions.values()].flatMap((region) =>
          partitions.all().map((partition) => run(region, setLayer, { partition, ...layer })),
        ),
      );
      return written.some(Boolean);
    }),
  );
  return changed.filter(Boolean).length;
}

export function rosterOf(
  partitions: PartitionMap,
  { region, broker, account, channel }: Omit<Subscription, "id">,
): Roster {
  return { region, broker, partition: partitions.ofAccount(account), channel };
}

/** Memberships come first: a route must never name a version that its shard does not have yet. */
export async function projectRoster(
  targets: Targets,
  roster: Roster,
  subscriptions: readonly Subscription[],
): Promise<number> {
  const { region: name, ...rest } = roster;
  const region = targets.regions.get(name);
  if (!region) throw new Error(`no Redis is configured for region ${name}`);
  const { changed, shards } = await run(region, seat, { ...rest, subscriptions });
  await writeRoutes(
    targets,
    roster.channel,
    shards.map((shard) => ({
      region: name,
      broker: roster.broker,
      partition: roster.partition,
      ...shard,
    })),
  );
  return changed;
}

/** Returns how many routes were behind. */
export async function writeRoutes(
  { home, partitions }: Targets,
  channel: ChannelId,
  routes: readonly Route[],
): Promise<number> {
  const keys = new HomeKeys(partitions.ofChannel(channel));
  return routes.length === 0 ? 0 : await run(home, route, { home: keys, channel, routes });
}
