/**
 * Each partition's halts as this worker last read them. They are not trusted: the
 * script that writes the intents compares the version.
 */
import { parseHalts, type Halts } from "../stored/halt.ts";
import { REGION_FILLED_FIELD } from "../../../redis/filled.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Redis } from "../../runtime/redis.ts";

/** A partition that lost its halts cannot say what is stopped, so nothing is sent. */
const UNFILLED: Halts = { version: "unfilled", scopes: new Map([["platform", "halt"]]) };

export class HaltCache {
  readonly #redis: Redis;
  readonly #halts = new Map<number, Halts>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** The halts as last read; `fresh` reads them again. */
  async of(partition: number, fresh = false): Promise<Halts> {
    const cached = this.#halts.get(partition);
    if (cached !== undefined && !fresh) return cached;
    const { header, halts: key } = new RegionKeys(partition);
    // The mark is read last: if it is present, the halts were there before.
    const [stored, isFilled] = await Promise.all([
      this.#redis.send("HGETALL", [key]) as Promise<Record<string, string>>,
      this.#redis.send("HEXISTS", [header, REGION_FILLED_FIELD]),
    ]);
    const halts = isFilled === 1 ? parseHalts(stored) : UNFILLED;
    this.#halts.set(partition, halts);
    return halts;
  }
}
