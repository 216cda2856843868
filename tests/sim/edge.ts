/**
 * Simulates the edge: a sender that repeats its key until it is answered, and a dispatch that may
 * be interrupted.
 */
import {
  signalIdIn,
  type ChannelId,
  type PersonId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import { canonicalBody, type AcceptedClose, type Signal } from "../../domain/copier/signal.ts";
import type { Subscription } from "../../domain/copier/subscription.ts";
import { accept } from "../../redis/accept.ts";
import { dispatchesOf, enqueue } from "../../redis/enqueue.ts";
import { closeDispatchesOf, enqueueClose } from "../../redis/enqueue-close.ts";
import { PARTS } from "../../redis/filled.ts";
import { formatKey, HomeKeys, type PartitionMap } from "../../redis/keys.ts";
import { setLayer, type SetLayerArgs } from "../../workers/copier/stored/layers.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../redis/progress.ts";
import { projectChannel } from "../../workers/copier/roster/channel.ts";
import { route } from "../../redis/route.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import type { Random } from "./random.ts";
import type { Process } from "./scheduler.ts";

export const CHANNEL = "channel" as ChannelId;
export const PROVIDER = "provider" as PersonId;
const RETRY_MS = 100;

export interface SendOptions {
  readonly signal: Signal;
  readonly idempotencyKey: string;
  /** Dispatches once more than necessary. */
  readonly twice: boolean;
}

export async function sendSignal(
  process: Process,
  redis: Redis,
  partitions: PartitionMap,
  random: Random,
  { signal, idempotencyKey, twice }: SendOptions,
): Promise<void> {
  const partition = partitions.ofChannel(signal.channel);
  const home = new HomeKeys(partition);
  const bodySha256 = new Bun.CryptoHasher("sha256").update(canonicalBody(signal)).digest("hex");
  for (;;) {
    try {
      const id = signalIdIn(partition, random.hex(32));
      const reply = await run(redis, accept, {
        id,
        home,
        signal,
        sender: PROVIDER,
        idempotencyKey,
        bodySha256,
      });
      if (reply.kind !== "accepted") return;
      for (let round = 0; round < (twice ? 2 : 1); round += 1) {
        await (reply.signal.action === "close"
          ? dispatchClose(redis, home, reply.signal)
          : Promise.all(
              dispatchesOf(reply.signal, reply.routes).map((each) =>
                run(redis, enqueue, each.enqueue),
              ),
            ));
      }
      await redis.send("ZREM", [home.undispatched, reply.acceptance.id]);
      return;
    } catch {
      await process.clock().sleep(RETRY_MS);
    }
  }
}

async function dispatchClose(redis: Redis, home: HomeKeys, close: AcceptedClose): Promise<void> {
  const closed = await Promise.all(
    close.closes.map(async (id) =>
      parseStoredSignal(await redis.send("HMGET", [home.signal(id), ...STORED_SIGNAL_FIELDS])),
    ),
  );
  const known = closed.filter((each) => each !== undefined);
  const dispatches = closeDispatchesOf(close, known);
  await Promise.all(dispatches.map((each) => run(redis, enqueueClose, each.enqueue)));
}

export function createSubscription(index: number, expiresAtMs: number): Subscription {
  return {
    id: `sub-${index}` as SubscriptionId,
    channel: CHANNEL,
    follower: `follower-${index}` as PersonId,
    account: `acct-${index}` as Subscription["account"],
    broker: "desk",
    region: "local",
    state: "active",
    expiresAtMs,
    version: 1,
    plan: { sizing: { kind: "fixed", stakeCents: 100 + index } },
  };
}

/** Roster rows first, then the routes that name them, repeated until both are stored. */
export async function project(
  process: Process,
  redis: Redis,
  partitions: PartitionMap,
  subscription: Subscription,
): Promise<void> {
  const partition = partitions.ofAccount(subscription.account);
  const home = new HomeKeys(partitions.ofChannel(CHANNEL));
  for (;;) {
    try {
      const seats = { partition, broker: "desk", channel: CHANNEL, subscriptions: [subscription] };
      const { shards } = await run(redis, seat, seats);
      const where = { region: "local", broker: "desk", partition };
      const routes = shards.map((each) => ({ ...where, ...each }));
      await run(redis, route, { home, channel: CHANNEL, routes });
      return;
    } catch {
      await process.clock().sleep(RETRY_MS);
    }
  }
}

/** In every partition, repeated until it is stored there. */
export async function setLayers(
  process: Process,
  redis: Redis,
  partitions: PartitionMap,
  layer: Omit<SetLayerArgs, "partition">,
): Promise<void> {
  for (const partition of partitions.all()) {
    for (let isStored = false; !isStored;) {
      try {
        await run(redis, setLayer, { partition, ...layer });
        isStored = true;
      } catch {
        await process.clock().sleep(RETRY_MS);
      }
    }
  }
}

export async function openChannel(
  redis: Redis,
  partitions: PartitionMap,
  deadlineMs: number,
): Promise<void> {
  for (const partition of partitions.all()) {
    const marks = PARTS.flatMap((part) => [`${part}SinceMs`, "1"]);
    await redis.send("HSET", [formatKey(partition), ...marks]);
  }
  const home = new HomeKeys(partitions.ofChannel(CHANNEL));
  const channel = { id: CHANNEL, name: "Channel", provider: PROVIDER, version: 1 };
  await run(redis, projectChannel, {
    home,
    channel: { ...channel, symbols: ["EUR/USD"], deadlineMs },
    grants: { [PROVIDER]: {} },
  });
}
