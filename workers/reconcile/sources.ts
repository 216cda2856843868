/** Where the reconciler reads: every Redis, the records, and each broker. It writes to none of them. */
import type { PartitionMap } from "../../redis/keys.ts";
import type { Broker } from "../brokers/port.ts";
import type { Clock } from "../clock.ts";
import type { Entry } from "../consume/entries.ts";
import type { Records } from "../records/port.ts";
import type { Redis } from "../redis-client.ts";

export interface Sources {
  readonly home: Redis;
  readonly regions: ReadonlyMap<string, Redis>;
  readonly partitions: PartitionMap;
  readonly records: Records;
  /** By their names. */
  readonly brokers: ReadonlyMap<string, Broker>;
  readonly clock: Clock;
}

const PAGE = 200;

/** What a stream still holds from a moment on, a page at a time. */
export async function* entriesSince(
  redis: Redis,
  stream: string,
  sinceMs: number,
): AsyncIterable<Entry> {
  let from = String(sinceMs);
  for (;;) {
    const page = (await redis.send("XRANGE", [stream, from, "+", "COUNT", String(PAGE)])) as [
      string,
      string[],
    ][];
    for (const [id, flat] of page) {
      const fields = new Map<string, string>();
      for (let index = 0; index + 1 < flat.length; index += 2) {
        fields.set(flat[index] ?? "", flat[index + 1] ?? "");
      }
      yield { id, fields };
    }
    if (page.length < PAGE) return;
    from = `(${page.at(-1)?.[0] ?? ""}`;
  }
}
