/**
 * Reads accounts of a desk partition to work on. Their versions are read first and
 * compared at the commit, so a change in between is noticed. Transaction numbers are
 * reserved last, so they are higher than those of all earlier transactions of the
 * accounts.
 */
import { AccountDraft, wordsOf } from "../stored/draft.ts";
import { reserveTransactions } from "../stored/commit.ts";
import type { DeskCall, Reserved } from "../stored/transaction.ts";
import { DeskKeys } from "../stored/keys.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface Reading extends Reserved {
  readonly drafts: readonly AccountDraft[];
}

/** Rejects if Redis fails. */
export async function readDrafts(
  redis: Redis,
  call: DeskCall,
  users: readonly string[],
  reserve: number,
): Promise<Reading> {
  const keys = new DeskKeys(call.partition);
  const fields = async (key: string, names: readonly string[]): Promise<string[]> => {
    if (names.length === 0) return [];
    const texts = (await redis.send("HMGET", [key, ...names])) as (string | null)[];
    return texts.map((text) => text ?? "");
  };
  const [versions, balances] = await Promise.all([
    fields(keys.versions, users),
    fields(keys.balances, users),
  ]);
  // Two round trips on purpose: a cluster that redirects one call may answer it after the
  // others.
  const [buys, sells, history, symbols, sessions, reserved] = await Promise.all([
    fields(keys.buys, users),
    fields(keys.sells, users),
    fields(keys.history, users),
    fields(keys.symbols, users),
    fields(keys.sessions, users),
    run(redis, reserveTransactions, { ...call, reserve }),
  ]);
  const named = (lists: readonly string[]): string[] =>
    users.flatMap((user, index) => wordsOf(lists[index] ?? "").map((name) => `${user} ${name}`));
  const [positions, replies] = await Promise.all([
    fields(keys.positions, named(symbols)),
    fields(keys.sessions, named(sessions)),
  ]);
  const positionOf = positions.values();
  const replyOf = replies.values();
  const drafts = users.map((user, index) => {
    const of = (texts: readonly string[]): string => texts[index] ?? "";
    return new AccountDraft(user, {
      version: of(versions),
      balance: of(balances),
      buys: of(buys),
      sells: of(sells),
      history: of(history),
      symbols: of(symbols),
      sessions: of(sessions),
      positions: wordsOf(of(symbols)).map(() => positionOf.next().value ?? ""),
      replies: wordsOf(of(sessions)).map(() => replyOf.next().value ?? ""),
    });
  });
  return { drafts, ...reserved };
}
