/** What Redis should contain of a partition, key by key, and how many fields differ. */
import { BOOKS_KEPT_MS } from "../stored/books.ts";
import { AUDITED_HASHES } from "../stored/audit.ts";
import { packTrigger } from "../stored/fields.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { Replay } from "./replay.ts";

export interface Kept {
  readonly key: string;
  readonly kind: "hash" | "zset";
  /** For a sorted set: the members with their scores. */
  readonly fields: ReadonlyMap<string, string>;
  /** When the key may expire in Redis. */
  readonly untilMs?: number;
}

const PAGE = "500";

export function keptOf(partition: number, replayed: Replay, nowMs: number): Kept[] {
  const desk = new DeskKeys(partition);
  const { buys, sells } = selectTriggers(replayed.hashes.positions);
  const { buckets, expiries } = selectContracts(desk, replayed, nowMs);
  return [
    ...AUDITED_HASHES.map((name): Kept => ({
      key: desk[name],
      kind: "hash",
      fields: replayed.hashes[name],
    })),
    { key: desk.deposits, kind: "hash", fields: replayed.deposits },
    { key: desk.buyTriggers, kind: "zset", fields: buys },
    { key: desk.sellTriggers, kind: "zset", fields: sells },
    { key: desk.expiries, kind: "zset", fields: expiries },
    ...buckets,
  ];
}

/** A position says what is reserved for triggers, see `stored/fields.ts`. */
function selectTriggers(positions: ReadonlyMap<string, string>): {
  readonly buys: ReadonlyMap<string, string>;
  readonly sells: ReadonlyMap<string, string>;
} {
  const buys = new Map<string, string>();
  const sells = new Map<string, string>();
  for (const [field, position] of positions) {
    const [user = "", symbol = ""] = field.split(" ");
    const [, , , buyPrice = "0", , , sellPrice = "0"] = position.split(",");
    const named = (price: string): string => packTrigger(symbol, Number(price), user);
    if (buyPrice !== "0") buys.set(named(buyPrice), "0");
    if (sellPrice !== "0") sells.set(named(sellPrice), "0");
  }
  return { buys, sells };
}

function selectContracts(
  desk: DeskKeys,
  { contracts }: Replay,
  nowMs: number,
): { readonly buckets: readonly Kept[]; readonly expiries: ReadonlyMap<string, string> } {
  const expiries = new Map<string, string>();
  const buckets = new Map<string, { readonly fields: Map<string, string>; untilMs: number }>();
  for (const [name, { head, rows }] of contracts) {
    const [field = "", bucket = ""] = name.split(" ");
    const [state, , , , , expiresAtMs = "0"] = head.split(",");
    const untilMs = Number(expiresAtMs) + BOOKS_KEPT_MS;
    if (untilMs <= nowMs) continue;
    const known = buckets.get(bucket) ?? { fields: new Map<string, string>(), untilMs };
    known.fields.set(field, `${head}|${rows}`);
    known.untilMs = Math.max(known.untilMs, untilMs);
    buckets.set(bucket, known);
    // A batch of which everything was sold is not due.
    if (state === "open" && rows !== "") expiries.set(name, expiresAtMs);
  }
  return {
    expiries,
    buckets: [...buckets].map(([bucket, { fields, untilMs }]): Kept => ({
      key: desk.contracts(bucket),
      kind: "hash",
      fields,
      untilMs,
    })),
  };
}

/** Counts fields that are missing, have another value, or should not exist. */
export async function differencesOf(redis: Redis, kept: readonly Kept[]): Promise<number> {
  let differences = 0;
  for (const each of kept) differences += await differencesAt(redis, each);
  return differences;
}

async function differencesAt(redis: Redis, { key, kind, fields }: Kept): Promise<number> {
  const seen = new Set<string>();
  let wrong = 0;
  let cursor = "0";
  do {
    const scan = [key, cursor, "COUNT", PAGE];
    const [next, flat] = (await redis.send(kind === "zset" ? "ZSCAN" : "HSCAN", scan)) as [
      string,
      string[],
    ];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      const field = flat[index] ?? "";
      if (seen.has(field)) continue;
      seen.add(field);
      if (String(fields.get(field)) !== String(flat[index + 1])) wrong += 1;
    }
    cursor = next;
  } while (cursor !== "0");
  let missing = 0;
  for (const field of fields.keys()) if (!seen.has(field)) missing += 1;
  return wrong + missing;
}
