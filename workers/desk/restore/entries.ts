/**
 * A partition's audit from both its places: all that is stored, and all that its
 * stream holds, each entry once, after what it was split from.
 */
import { DeskKeys } from "../stored/keys.ts";
import { historyOf } from "../audit/history.ts";
import { keyOf, PAGE, type AuditStore, type StoredEntry } from "../audit/port.ts";
import { entriesSince } from "../../runtime/entries.ts";
import type { Redis } from "../../runtime/redis.ts";

export function allEntries(
  store: AuditStore,
  redis: Redis,
  partition: number,
): AsyncGenerator<StoredEntry> {
  return historyOf(store, partition, (each) => ownEntries(store, redis, each));
}

/**
 * In order. Unlike the audit as it is read beside a whole Redis, nothing is taken
 * for granted of what the stream holds: it may end before the store does.
 */
async function* ownEntries(
  store: AuditStore,
  redis: Redis,
  partition: number,
): AsyncGenerator<StoredEntry> {
  const sources = [store.read({ partition }), streamed(redis, partition)];
  const heads = await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    let next: StoredEntry | undefined;
    for (const { done, value } of heads) {
      if (done !== true && (!next || isBefore(value, next))) next = value;
    }
    if (!next) return;
    yield next;
    for (const [index, { done, value }] of heads.entries()) {
      const source = sources[index];
      if (done !== true && source && value.id === next.id) heads[index] = await source.next();
    }
  }
}

function isBefore(one: StoredEntry, other: StoredEntry): boolean {
  return keyOf(one.partition, one.id) < keyOf(other.partition, other.id);
}

export async function* streamed(redis: Redis, partition: number): AsyncGenerator<StoredEntry> {
  const stream = new DeskKeys(partition).audit;
  for await (const entry of entriesSince(redis, stream, "-", PAGE)) yield { partition, ...entry };
}
