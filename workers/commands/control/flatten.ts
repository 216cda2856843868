/**
 * Flattening closes what is open in a scope: in each channel concerned the
 * house sends a close, by the very path that a provider's takes. It reads Redis
 * alone, so that it works while the records are away. Given again, it closes
 * what is open by then, which is what the first could not.
 */
import { signalIdIn, type ChannelId, type PersonId, type SignalId } from "../../../domain/ids.ts";
import { canonicalBody, type CloseSignal, type PlacedCopy } from "../../../domain/copier/signal.ts";
import { accept, HOUSE, type Acceptance, type AcceptReply } from "../../../redis/accept.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import type { Progress } from "../../../domain/copier/progress.ts";
import {
  parseStoredSignal,
  PROGRESS_FIELDS,
  STORED_SIGNAL_FIELDS,
  sumProgress,
  type StoredSignal,
} from "../../../redis/progress.ts";
import { parseRosterShard } from "../../copier/stored/roster.ts";
import { routeField, type Route } from "../../../redis/route.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { Reach } from "../../copier/dispatch/reach.ts";
import { complete } from "../../copier/dispatch/redispatch.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "../../copier/roster/projector.ts";

export type Flattened = { readonly channel: ChannelId } & (
  | { readonly kind: "closed"; readonly acceptance: Acceptance }
  | { readonly kind: "refused"; readonly code: string }
);

export async function flatten(targets: Targets, scope: Scope): Promise<Flattened[]> {
  const flattened: Flattened[] = [];
  for (const partition of targets.partitions.all()) {
    const home = new HomeKeys(partition);
    const channels = (await targets.home.send("SMEMBERS", [home.opening])) as ChannelId[];
    for (const channel of channels.toSorted()) {
      for (const close of await closesOf(targets, home, channel, scope)) {
        flattened.push(...(await closeAll(targets, partition, close)));
      }
    }
  }
  return flattened;
}

/** What is to be closed of a channel; nothing where the scope has none of it. */
async function closesOf(
  targets: Targets,
  home: HomeKeys,
  channel: ChannelId,
  scope: Scope,
): Promise<CloseSignal[]> {
  const [kind, id = ""] = scope.split(":");
  const all: CloseSignal = { action: "close", channel };
  if (kind === "platform") return [all];
  if (kind === "channel") return channel === id ? [all] : [];
  if (kind === "broker") return [{ ...all, broker: id }];
  if (kind === "follower") {
    const copies = await copiesOf(targets, home, channel, id as PersonId);
    return copies.length === 0 ? [] : [{ ...all, copies }];
  }
  const settings = (await targets.home.send("HGET", [home.channel(channel), "settings"])) as
    string | null;
  const { provider } = JSON.parse(settings ?? "{}") as { readonly provider?: string };
  return provider === id ? [all] : [];
}

/** The seats of a follower in the shards that what is open was copied from. */
async function copiesOf(
  { home: redis, regions }: Targets,
  home: HomeKeys,
  channel: ChannelId,
  follower: PersonId,
): Promise<PlacedCopy[]> {
  const shards = new Map<string, Route>();
  for (const id of await openIn(redis, home, channel)) {
    const stored = await readStored(redis, home, id);
    for (const route of stored?.routes ?? []) shards.set(routeField(route), route);
  }
  const copies: PlacedCopy[] = [];
  for (const { region, broker, partition, shard } of shards.values()) {
    const key = new RegionKeys(partition).rosterShard(channel, broker, shard);
    const rows = (await regions.get(region)?.send("HGETALL", [key])) as
      Record<string, string> | undefined;
    for (const member of parseRosterShard(Object.entries(rows ?? {}).flat())) {
      const { subscription, account } = member;
      if (member.follower !== follower) continue;
      copies.push({ subscription, account, region, broker, partition, shard });
    }
  }
  return copies;
}

async function openIn(
  redis: Targets["home"],
  home: HomeKeys,
  channel: ChannelId,
): Promise<SignalId[]> {
  const members = (await redis.send("ZRANGE", [home.open(channel), "0", "-1"])) as string[];
  return members.map((member) => member.split(" ")[1] as SignalId);
}

/** One close, or where that would be too large one for each signal. Nothing is told where nothing is open. */
async function closeAll(
  targets: Targets,
  partition: number,
  close: CloseSignal,
): Promise<Flattened[]> {
  const home = new HomeKeys(partition);
  const { channel } = close;
  const reply = await send(targets, partition, close);
  if (reply.kind !== "refused") {
    const { acceptance } = reply;
    // What is not confirmed now is dispatched by the home worker.
    const reach = new Reach(SYSTEM_CLOCK);
    await complete({ ...targets, reach }, home, acceptance.id).catch(() => undefined);
    return acceptance.followers === 0 ? [] : [{ kind: "closed", channel, acceptance }];
  }
  if (reply.code !== "CLOSE_TOO_LARGE") return [{ kind: "refused", channel, code: reply.code }];
  const ids = await openIn(targets.home, home, channel);
  const each = ids.map((signal) => closeAll(targets, partition, { ...close, signal }));
  return (await Promise.all(each)).flat();
}

async function send(
  { home: redis }: Targets,
  partition: number,
  signal: CloseSignal,
): Promise<AcceptReply> {
  const random = (): string => crypto.randomUUID().replaceAll("-", "");
  return await run(redis, accept, {
    id: signalIdIn(partition, random()),
    home: new HomeKeys(partition),
    signal,
    sender: HOUSE,
    isHouse: true,
    idempotencyKey: random(),
    bodySha256: new Bun.CryptoHasher("sha256").update(canonicalBody(signal)).digest("hex"),
  });
}

async function readStored(
  redis: Targets["home"],
  home: HomeKeys,
  id: SignalId,
): Promise<StoredSignal | undefined> {
  return parseStoredSignal(await redis.send("HMGET", [home.signal(id), ...STORED_SIGNAL_FIELDS]));
}

/** How far a close is; undefined where its home has forgotten it. */
export async function progressOf(
  { home: redis, regions }: Targets,
  id: SignalId,
): Promise<Progress | undefined> {
  const stored = await readStored(redis, HomeKeys.ofSignal(id), id);
  if (!stored) return undefined;
  const at = new Map(stored.routes.map((each) => [`${each.region}/${each.partition}`, each]));
  const parts = await Promise.all(
    [...at.values()].map(async ({ region, partition }) => {
      const key = new RegionKeys(partition).progress(id);
      return await regions.get(region)?.send("HMGET", [key, ...PROGRESS_FIELDS]);
    }),
  );
  return sumProgress(
    stored,
    parts.filter((part) => part !== undefined),
  );
}
