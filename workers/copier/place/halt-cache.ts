/**
 * Each partition's halts as this worker last read them. Nothing here is
 * trusted: the script that writes the intents compares the version.
 */
import { parseHalts, type Halts } from "../stored/halt.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Redis } from "../../runtime/redis.ts";

export class HaltCache {
  readonly #redis: Redis;
  readonly #halts = new Map<number, Halts>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** As last read; `fresh` reads them again. */
  async of(partition: number, fresh = false): Promise<Halts> {
    const cached = this.#halts.get(partition);
    if (cached !== undefined && !fresh) return cached;
    const stored = await this.#redis.send("HGETALL", [new RegionKeys(partition).halts]);
    const halts = parseHalts(stored as Record<string, string>);
    this.#halts.set(partition, halts);
    return halts;
  }
}
