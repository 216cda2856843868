/**
 * The partition map and every key of home and region partitions. All keys of a partition carry its
 * number as their hash tag, so a script that stays inside one partition uses one slot of a Redis
 * Cluster.
 *
 * Home partitions are chosen by channel; region and desk partitions by broker account. No other
 * code knows how many there are.
 */
import {
  homePartitionOf,
  type AccountId,
  type ChannelId,
  type HookId,
  type PersonId,
  type SignalId,
} from "../domain/ids.ts";

/** FNV-1a, 32 bit: the same on every runtime, and spread well enough for short ids. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}

export class PartitionMap {
  readonly count: number;

  constructor(count: number) {
    this.count = count;
  }

  ofChannel(channel: ChannelId): number {
    return hash(channel) % this.count;
  }

  ofAccount(account: AccountId): number {
    return hash(account) % this.count;
  }

  /** By its id, as its channel is not known before it is read. */
  ofHook(hook: HookId): number {
    return hash(hook) % this.count;
  }

  all(): readonly number[] {
    return Array.from({ length: this.count }, (_, partition) => partition);
  }
}

/** Keys of one home partition: the data of channels. */
export class HomeKeys {
  readonly #prefix: string;
  /** See `formatKey`. */
  readonly header: string;

  constructor(partition: number) {
    this.#prefix = `home:{${partition}}`;
    this.header = formatKey(partition);
  }

  static ofSignal(id: SignalId): HomeKeys {
    return new HomeKeys(homePartitionOf(id));
  }

  /** STREAM of accepted signals; groups `recorder` and `chain`. */
  get signals(): string {
    return `${this.#prefix}:signals`;
  }
  /** STREAM of chain links; group `recorder`. */
  get links(): string {
    return `${this.#prefix}:links`;
  }
  /** ZSET of signal ids that not every region has confirmed, by the time of acceptance in ms. */
  get undispatched(): string {
    return `${this.#prefix}:undispatched`;
  }
  /** HASH scope → `halt` or `drain`, and `version`; see `workers/copier/stored/halt.ts`. */
  get halts(): string {
    return `${this.#prefix}:halts`;
  }
  /** SET of channels that ever opened something. */
  get opening(): string {
    return `${this.#prefix}:opening`;
  }
  /**
   * ZSET `symbol id places` → ms: the channel's signals which may have open positions until then.
   * `places` is a list of `region/broker/partition=count;`.
   */
  open(channel: ChannelId): string {
    return `${this.#prefix}:open:${channel}`;
  }
  /** HASH: `settings` (JSON), `version`, `sequence`. */
  channel(channel: ChannelId): string {
    return `${this.#prefix}:channel:${channel}`;
  }
  /** HASH person → grant (JSON). */
  grants(channel: ChannelId): string {
    return `${this.#prefix}:grants:${channel}`;
  }
  /** HASH route → `version,count`. */
  routes(channel: ChannelId): string {
    return `${this.#prefix}:routes:${channel}`;
  }
  /** STRING (JSON `{sequence, hash}`): the last link of the channel's chain. */
  chainHead(channel: ChannelId): string {
    return `${this.#prefix}:chain:${channel}`;
  }
  /** STRING: the first answer for an idempotency key. */
  answer(channel: ChannelId, sender: PersonId, idempotencyKey: string): string {
    return `${this.#prefix}:answer:${channel}:${sender}:${idempotencyKey}`;
  }
  /** HASH: the accepted signal, its routes (of a close: its copies' places) and its number of followers. */
  signal(id: SignalId): string {
    return `${this.#prefix}:signal:${id}`;
  }
}

/** HASH beside a partition's `halts`: scope → who changed it last, when and why. */
export function haltNotesKey(halts: string): string {
  return `${halts}:notes`;
}

/**
 * STRING (JSON): a hook. Its partition is chosen by its id, because its channel is not known before
 * it is read.
 */
export function hookKey(hook: HookId, partitions: PartitionMap): string {
  return `home:{${partitions.ofHook(hook)}}:hook:${hook}`;
}

/** The header of a hook's partition. */
export function hookHeader(hook: HookId, partitions: PartitionMap): string {
  return formatKey(hash(hook) % partitions.count);
}

/** Keys of one region partition: the copier's data of broker accounts. */
export class RegionKeys {
  readonly #prefix: string;
  /** See `formatKey`. */
  readonly header: string;

  constructor(partition: number) {
    this.#prefix = `region:{${partition}}`;
    this.header = formatKey(partition);
  }

  /** STREAM of outcomes and settlements; group `recorder`. */
  get events(): string {
    return `${this.#prefix}:events`;
  }
  /** HASH, as that of the home partitions. */
  get halts(): string {
    return `${this.#prefix}:halts`;
  }
  /** HASH scope → `version,settings` (JSON) of platform, providers and channels, and `version`; see `workers/copier/stored/layers.ts`. */
  get layers(): string {
    return `${this.#prefix}:layers`;
  }
  /** STREAM of jobs, one entry for each shard; group `workers`. */
  jobs(broker: string): string {
    return `${this.#prefix}:jobs:${broker}`;
  }
  /** STREAM of jobs with orders about which the broker must be asked; group `workers`. */
  questions(broker: string): string {
    return `${this.#prefix}:questions:${broker}`;
  }
  /** STREAM of jobs that close what an earlier job opened; group `workers`. */
  closes(broker: string): string {
    return `${this.#prefix}:closes:${broker}`;
  }
  /** HASH of one such job: `state` (JSON), see `workers/copier/stored/closing.ts`. */
  closing(close: SignalId, of: SignalId, broker: string, shard: number): string {
    return `${this.#prefix}:closing:${close}:${of}:${broker}:${shard}`;
  }
  /**
   * HASH `<broker>/<shard>`, of a close `<signal>/<broker>/<shard>` → 1: the jobs of a signal that
   * were enqueued.
   */
  enqueued(signal: SignalId): string {
    return `${this.#prefix}:enqueued:${signal}`;
  }
  /** HASH: `placed`, `rejected`, `skipped`, `unknown`, `firstMs`, `lastMs`. */
  progress(signal: SignalId): string {
    return `${this.#prefix}:progress:${signal}`;
  }
  /** HASH of one shard's job: `intents` (JSON), `outcomes` (1), `unknown` (JSON: the subscriptions to ask about). */
  job(signal: SignalId, broker: string, shard: number): string {
    return `${this.#prefix}:job:${signal}:${broker}:${shard}`;
  }
  /**
   * HASH: `version`, `open` (the shard that takes new members), `last` (the highest), and for each
   * shard `version:<shard>`, `count:<shard>` and `noted:<shard>` (what was routed when, see
   * `prune`).
   */
  rosterHead(channel: ChannelId, broker: string): string {
    return `${this.#prefix}:roster:${broker}:${channel}`;
  }
  /** HASH subscription → shard. */
  rosterSeats(channel: ChannelId, broker: string): string {
    return `${this.#prefix}:roster:${broker}:${channel}:seats`;
  }
  /** The roster that a key of `rosterSeats` belongs to; undefined for any other key. */
  static rosterOf(
    key: string,
  ):
    | { readonly partition: number; readonly broker: string; readonly channel: ChannelId }
    | undefined {
    const [, partition, broker, channel] =
      /^region:\{(\d+)\}:roster:([^:]+):([^:]+):seats$/.exec(key) ?? [];
    if (broker === undefined || channel === undefined) return undefined;
    return { partition: Number(partition), broker, channel: channel as ChannelId };
  }
  /** HASH subscription → roster row (JSON). */
  rosterShard(channel: ChannelId, broker: string, shard: number): string {
    return `${this.#prefix}:roster:${broker}:${channel}:${shard}`;
  }
  /**
   * SET of channels whose roster here is older than a job requires: it must be compared with the
   * records.
   */
  get rostersBehind(): string {
    return `${this.#prefix}:rosters-behind`;
  }
  /** HASH subscription → packed usage (`domain/copier/caps.ts`), of followers with caps. */
  usage(broker: string): string {
    return `${this.#prefix}:usage:${broker}`;
  }
  /** HASH client order id → `stakeCents,day`: the orders that a usage counts. */
  reserved(broker: string): string {
    return `${this.#prefix}:reserved:${broker}`;
  }
  /** HASH account → its orders that are unanswered at the broker, packed; see `places.ts`. */
  places(broker: string): string {
    return `${this.#prefix}:places:${broker}`;
  }
  /** HASH `id`, `sinceMs`: the run of the Redis that holds the partition, see `run.ts`. */
  get run(): string {
    return `${this.#prefix}:run`;
  }
  /** STRING: the position up to which a broker's settlements have been read. */
  settlementCursor(broker: string): string {
    return `${this.#prefix}:settlements:${broker}`;
  }
  /** STRING: the position from which to read them again when a partition's Redis has changed. */
  settlementRetreat(broker: string): string {
    return `${this.#prefix}:settlements:${broker}:retreat`;
  }
}

/**
 * The channel that wakes those who watch a signal. The message says only that something has
 * changed.
 */
export function liveChannel(signal: SignalId): string {
  return `live:${signal}`;
}

/**
 * HASH `version`, `partitions`: the format of a partition's Redis, see `format.ts`; and whether the
 * partition is filled, see `filled.ts`.
 */
export function formatKey(partition: number): string {
  return `format:{${partition}}`;
}
