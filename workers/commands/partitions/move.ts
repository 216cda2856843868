/**
 * Moves the data of partitions to their places under a higher number of
 * partitions. There are two steps, and each may be repeated from its beginning:
 * copying reads only the old places and writes the new ones; removing deletes from
 * the old places the items that no longer belong there.
 */
import { crashPoint } from "../../runtime/crash-point.ts";
import type { Redis } from "../../runtime/redis.ts";
import {
  parsePartitionKey,
  placementOf,
  type Item,
  type Placement,
  type PlacementParts,
  type PartitionKey,
} from "./placement.ts";

/** Items in one command. */
const AT_ONCE = "500";
const KEYS_AT_ONCE = 100;

/** How the items of a type are read, written and removed. */
interface Kind {
  /** Its scan; absent for a string, which is read at once. */
  readonly scan?: "HSCAN" | "SSCAN" | "ZSCAN";
  readonly write: string;
  readonly remove: string;
  words(item: Item): readonly string[];
}

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["hash", { scan: "HSCAN", write: "HSET", remove: "HDEL", words: (item: Item) => item }],
  ["set", { scan: "SSCAN", write: "SADD", remove: "SREM", words: ([member]: Item) => [member] }],
  [
    "zset",
    {
      scan: "ZSCAN",
      write: "ZADD",
      remove: "ZREM",
      words: ([member, score]: Item) => [score, member],
    },
  ],
  ["string", { write: "SET", remove: "DEL", words: ([, value]: Item) => [value] }],
] as const);

/** Every key of home, region and desk partitions, on every node. */
export async function* partitionKeys(
  redis: Redis,
): AsyncGenerator<PartitionKey & { readonly text: string }> {
  for (const node of (await redis.primaries?.()) ?? [redis]) {
    let cursor = "0";
    do {
      const scan = [cursor, "MATCH", "*:{*}:*", "COUNT", "1000"];
      const [next, found] = (await node.send("SCAN", scan)) as [string, string[]];
      cursor = next;
      for (const text of found) {
        const key = parsePartitionKey(text);
        if (key) yield { ...key, text };
      }
    } while (cursor !== "0");
  }
}

export async function copyAll(parts: PlacementParts): Promise<void> {
  const { redis } = parts;
  await forEachMoving(parts, async ({ key, kind, place }) => {
    const written = new Set<string>();
    for await (const items of pages(redis, key.text, kind)) {
      for (const [partition, some] of await place(items)) {
        if (partition === key.partition || some.length === 0) continue;
        const to = key.text.replace(`{${key.partition}}`, `{${partition}}`);
        await redis.send(kind.write, [to, ...some.flatMap(kind.words)]);
        written.add(to);
      }
    }
    const leftMs = Number(await redis.send("PTTL", [key.text]));
    for (const to of leftMs > 0 ? written : []) {
      await redis.send("PEXPIRE", [to, String(leftMs)]);
    }
    crashPoint("after-key-copied");
  });
}

export async function removeMoved(parts: PlacementParts): Promise<void> {
  const { redis } = parts;
  await forEachMoving(parts, async ({ key, kind, place }) => {
    for await (const items of pages(redis, key.text, kind)) {
      const own = new Map((await place(items)).get(key.partition) ?? []);
      const gone = items.filter(([field]) => !own.has(field)).map(([field]) => field);
      const changed = items
        .filter(([field, value]) => own.has(field) && own.get(field) !== value)
        .map(([field]): Item => [field, own.get(field) ?? ""]);
      if (gone.length > 0) {
        await redis.send(kind.remove, [key.text, ...(kind.scan ? gone : [])]);
      }
      if (changed.length > 0) {
        await redis.send(kind.write, [key.text, ...changed.flatMap(kind.words)]);
      }
    }
    crashPoint("after-key-removed");
  });
}

interface Moving {
  readonly key: PartitionKey & { readonly text: string };
  readonly kind: Kind;
  readonly place: Placement;
}

/** For each key of the old partitions that must move. */
async function forEachMoving(
  parts: PlacementParts,
  act: (moving: Moving) => Promise<void>,
): Promise<void> {
  let underWay: Promise<void>[] = [];
  for await (const key of partitionKeys(parts.redis)) {
    const place = key.partition < parts.from ? placementOf(key, parts) : undefined;
    if (!place) continue;
    underWay.push(actOn(parts.redis, key, place, act));
    if (underWay.length < KEYS_AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}

async function actOn(
  redis: Redis,
  key: Moving["key"],
  place: Placement,
  act: (moving: Moving) => Promise<void>,
): Promise<void> {
  const kind = KINDS.get(String(await redis.send("TYPE", [key.text])));
  // Otherwise the key has expired.
  if (kind) await act({ key, kind, place });
}

async function* pages(redis: Redis, key: string, { scan }: Kind): AsyncGenerator<readonly Item[]> {
  if (scan === undefined) {
    const value = (await redis.send("GET", [key])) as string | null;
    if (value !== null) yield [["", value]];
    return;
  }
  let cursor = "0";
  do {
    const range = [key, cursor, "COUNT", AT_ONCE];
    const [next, flat] = (await redis.send(scan, range)) as [string, unknown[]];
    cursor = next;
    const step = scan === "SSCAN" ? 1 : 2;
    const items: Item[] = [];
    for (let index = 0; index < flat.length; index += step) {
      items.push([String(flat[index]), step === 1 ? "" : String(flat[index + 1])]);
    }
    if (items.length > 0) yield items;
  } while (cursor !== "0");
}
