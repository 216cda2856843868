/**
 * A partition's audit from both places, the store and its stream, each entry once, after
 * the audit of the partition that it was split from.
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
 * In order. The audit beside a complete Redis can rely on the stream; this one cannot: the
 * stream may end before the store does.
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
