/**
 * Roster shards as this worker last read them. A job names the version that it
 * needs. A shard is read again only if that version is newer, or if the script
 * that writes the intents says that the shard has changed since.
 */
import type { Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { parseRosterShard, type RosterMember } from "../stored/roster.ts";
import type { Redis } from "../../runtime/redis.ts";

/** A shard as jobs name it, with the lowest version that they need. */
type ShardName = Pick<Job, "broker" | "shard" | "version"> & {
  readonly signal: Pick<Job["signal"], "channel">;
};

export interface RosterShard {
  readonly version: number;
  /**
   * The Redis lost the version that the job names: the roster is an older one until
   * it is rebuilt.
   */
  readonly isBehind?: true;
  /** Some rows cannot be read. The check that the records API makes on request rewrites them. */
  readonly hasUnreadable?: true;
  readonly members: readonly RosterMember[];
}

/**
 * About 300 bytes a member: 300 MB for a million followers. Each signal needs the
 * shards in the same order, so a cache that is too small for all of them never has
 * the one that is needed next.
 */
const MAX_MEMBERS = 1_000_000;

export class RosterCache {
  readonly #redis: Redis;
  /** In order of last use. */
  readonly #shards = new Map<string, RosterShard>();
  #members = 0;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Returns a shard at least as new as the job's version, or marked as behind.
   * `fresh` always reads it again.
   */
  async shardOf(partition: number, job: ShardName, fresh = false): Promise<RosterShard> {
    const region = new RegionKeys(partition);
    const head = region.rosterHead(job.signal.channel, job.broker);
    const key = `${head}:${job.shard}`;
    const cached = this.#shards.get(key);
    this.#drop(key);
    const shard =
      cached !== undefined && !fresh && cached.version >= job.version
        ? cached
        : await this.#read(
            head,
            region.rosterShard(job.signal.channel, job.broker, job.shard),
            job,
          );
    if (!shard.isBehind) this.#keep(key, shard);
    return shard;
  }

  async #read(head: string, rows: string, job: ShardName): Promise<RosterShard> {
    // The version is read first: rows that are newer than it are noticed when the intents are
    // written.
    const [version, flat] = await Promise.all([
      this.#redis.send("HGET", [head, `version:${job.shard}`]) as Promise<string | null>,
      this.#redis.send("HGETALL", [rows]) as Promise<Record<string, string>>,
    ]);
    return parseShard(job, Number(version ?? 0), Object.entries(flat).flat());
  }

  #keep(key: string, shard: RosterShard): void {
    this.#drop(key);
    this.#shards.set(key, shard);
    this.#members += shard.members.length;
    for (const [oldest] of this.#shards) {
      if (this.#members <= MAX_MEMBERS || oldest === key) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#members -= this.#shards.get(key)?.members.length ?? 0;
    this.#shards.delete(key);
  }
}

/** A shard by its rows: subscription, row, subscription, row …. */
export function parseShard(
  { version: wanted }: Pick<ShardName, "version">,
  version: number,
  rows: readonly string[],
): RosterShard {
  const members = parseRosterShard(rows);
  const shard: RosterShard = {
    version,
    ...(members.some(({ isUnreadable }) => isUnreadable) && { hasUnreadable: true }),
    members,
  };
  return version < wanted ? { ...shard, isBehind: true } : shard;
}
