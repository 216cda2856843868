/**
 * Rebuilds the desk's partitions from its audit: balances, positions, pending orders,
 * triggers, sessions, deposits, contracts with what is due, settlements that may not have
 * been followed, and the number of transactions. A partition that equals its audit is not
 * changed, so the command may run again at any time. Data that the audit does not contain
 * is never overwritten without `force`.
 */
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import { deskMark, whileUnmoved, type DeskMark, type RedisCommand } from "../stored/restore.ts";
import { noteWhole } from "../stored/whole.ts";
import { isAfter, nextOf } from "../audit/merged.ts";
import { PAGE, type AuditStore, type StoredEntry } from "../audit/port.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { allEntries, streamed } from "./entries.ts";
import { differencesOf, keptOf, type Kept } from "./kept.ts";
import { replay, type Replay, type SettlementsEntry } from "./replay.ts";

/**
 * Numbers that were used and then lost with Redis are never used again. This is more than
 * a partition uses while nothing is drained.
 */
const NUMBERS_SKIPPED = 100_000_000;
/** Fields in one Redis command. */
const AT_ONCE = 500;
/** Prepared keys of an abandoned restore expire after this. */
const PREPARED_MS = 3_600_000;

export interface RestoreOptions {
  readonly redis: Redis;
  readonly store: AuditStore;
  readonly partitions: PartitionMap;
  /** The server name in the audit for a restore. */
  readonly server: string;
  readonly nowMs: number;
  /**
   * Also overwrites data that the audit does not contain, and uses the last entry if the
   * audit contradicts itself.
   */
  readonly force: boolean;
}

export type Restored = { readonly partition: number } & (
  | { readonly kind: "intact" }
  | {
      readonly kind: "restored";
      readonly accounts: number;
      /** Fields that were missing, different, or superfluous. */
      readonly differences: number;
      /** The newest time in the audit. */
      readonly untilMs: number;
    }
  /** Redis has counted more transactions than the audit. */
  | { readonly kind: "newer"; readonly transactions: number; readonly audited: number }
  /**
   * Events and balances of the audit do not fit: after a loss the desk continued before it
   * was restored.
   */
  | { readonly kind: "contradicted"; readonly accounts: readonly string[] }
  /** The desk has worked meanwhile. */
  | { readonly kind: "moved" }
);

export async function restorePartition(
  options: RestoreOptions,
  partition: number,
): Promise<Restored> {
  const restored = await restoreAccounts(options, partition);
  const isDone = restored.kind === "intact" || restored.kind === "restored";
  if (isDone) await run(options.redis, noteWhole, { partition });
  return restored;
}

async function restoreAccounts(options: RestoreOptions, partition: number): Promise<Restored> {
  const { redis, store, partitions, nowMs, force } = options;
  const mark = await run(redis, deskMark, { partition });
  const replayed = await replay(allEntries(store, redis, partition), {
    partition,
    partitions: partitions.count,
    nowMs,
  });
  if (mark.transactions > replayed.transactions && !force) {
    const { transactions } = mark;
    return { partition, kind: "newer", transactions, audited: replayed.transactions };
  }
  const expected = keptOf(partition, replayed, nowMs);
  const differences = await differencesOf(redis, expected);
  if (differences === 0 && mark.transactions >= replayed.transactions) {
    return { partition, kind: "intact" };
  }
  if (replayed.contradicted.length > 0 && !force) {
    return { partition, kind: "contradicted", accounts: replayed.contradicted };
  }
  await storeStream(options, partition);
  const done = await write(options, partition, mark, replayed, expected);
  if (!done) return { partition, kind: "moved" };
  return {
    partition,
    kind: "restored",
    differences,
    accounts: replayed.hashes.balances.size,
    untilMs: Number(replayed.lastId.split("-")[0]),
  };
}

/**
 * Stores the whole stream, so that it can start anew: readers expect everything below its
 * first entry in the store.
 */
async function storeStream({ redis, store }: RestoreOptions, partition: number): Promise<void> {
  let page: StoredEntry[] = [];
  for await (const entry of streamed(redis, partition)) {
    if (page.push(entry) < PAGE) continue;
    await store.append(page);
    page = [];
  }
  await store.append(page);
}

/** Everything is prepared under other names, and replaces the live keys in one step. */
async function write(
  { redis, partitions, server, nowMs }: RestoreOptions,
  partition: number,
  mark: DeskMark,
  replayed: Replay,
  expected: readonly Kept[],
): Promise<boolean> {
  const desk = new DeskKeys(partition);
  const swaps: RedisCommand[] = [];
  const restorer = crypto.randomUUID();
  for (const { key, kind, fields, untilMs } of expected) {
    if (fields.size === 0) {
      swaps.push(["DEL", key]);
      continue;
    }
    const prepared = desk.prepared(key, restorer);
    const flat = [...fields].map(([field, value]) =>
      kind === "zset" ? [value, field] : [field, value],
    );
    for (let start = 0; start < flat.length; start += AT_ONCE) {
      const some = flat.slice(start, start + AT_ONCE).flat();
      await redis.send(kind === "zset" ? "ZADD" : "HSET", [prepared, ...some]);
      if (start === 0) await redis.send("PEXPIRE", [prepared, String(PREPARED_MS)]);
    }
    const expiry: RedisCommand =
      untilMs === undefined ? ["PERSIST", key] : ["PEXPIREAT", key, String(untilMs)];
    swaps.push(["RENAME", prepared, key], expiry);
  }

  const counted = Math.max(mark.transactions, replayed.transactions) + NUMBERS_SKIPPED;
  const number = (counted - 1) * partitions.count + partition + 1;
  const at = ["at", String(nowMs), "server", server, "users", ""];
  // The stream continues after the last stored id, even if the clock is behind it.
  const id = nextOf(isAfter(replayed.lastId, mark.audit) ? replayed.lastId : mark.audit);
  return await run(redis, whileUnmoved, {
    partition,
    mark,
    commands: [
      ...swaps,
      ...(await followable(redis, desk, replayed.settlements)),
      ["SET", desk.transactions, String(counted)],
      ["SET", desk.audited, String(counted)],
      // A server that has an older version of the account in memory must read it again.
      ["DEL", desk.versions],
      ["XADD", desk.audit, id, ...at, "events", `s,${number},restored`],
      ["XTRIM", desk.audit, "MINID", id],
    ],
  });
}

/** Settlements that are newer than those still in their stream. */
async function followable(
  redis: Redis,
  { settlements }: DeskKeys,
  found: readonly SettlementsEntry[],
): Promise<RedisCommand[]> {
  const [last] = (await redis.send("XREVRANGE", [settlements, "+", "-", "COUNT", "1"])) as [
    string,
    unknown,
  ][];
  return found
    .filter(({ id }) => last === undefined || isAfter(id, last[0]))
    .map(({ id, settled, closePriceMicros, settledAtMs }) => [
      ...(["XADD", settlements, id, "settled", JSON.stringify(settled)] as const),
      "closePriceMicros",
      closePriceMicros,
      "settledAtMs",
      String(settledAtMs),
    ]);
}
