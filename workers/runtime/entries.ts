/** Parses stream entries in the shapes of Bun's client (RESP3). */
import type { Redis } from "./redis.ts";

export interface Entry {
  readonly id: string;
  /** Empty if the entry was deleted but is still pending. */
  readonly fields: ReadonlyMap<string, string>;
}

type RawEntry = readonly [id: string, flat: readonly string[] | null];

/** `XREADGROUP`: `{stream: [[id, [field, value, …]], …]}`, or null when the wait ran out. */
export function parseRead(raw: unknown): Entry[] {
  if (raw === null || raw === undefined) return [];
  return Object.values(raw as Record<string, readonly RawEntry[]>).flatMap(parseEntries);
}

/** `XAUTOCLAIM`: `[cursor, entries, deleted ids]`. */
export function parseClaimed(raw: unknown): Entry[] {
  const [, entries] = raw as readonly [string, readonly RawEntry[]];
  return parseEntries(entries);
}

/** `XRANGE`: like the entries of one stream in the two replies above. */
export function parseEntries(entries: readonly RawEntry[]): Entry[] {
  return entries.map(([id, flat]) => ({ id, fields: fieldsOf(flat ?? []) }));
}

/** Turns `field, value, field, value …` into a map. */
export function fieldsOf(flat: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    fields.set(flat[index] ?? "", flat[index + 1] ?? "");
  }
  return fields;
}

const PAGE = 200;

/**
 * Reads a stream from an id on, a page at a time. The id is in milliseconds, or `-` for its
 * beginning.
 */
export async function* entriesSince(
  redis: Redis,
  stream: string,
  since: number | "-",
  pageSize = PAGE,
): AsyncIterable<Entry> {
  for (let from = String(since); ;) {
    const range = [stream, from, "+", "COUNT", String(pageSize)];
    const page = parseEntries((await redis.send("XRANGE", range)) as RawEntry[]);
    yield* page;
    if (page.length < pageSize) return;
    from = `(${page.at(-1)?.id ?? ""}`;
  }
}
