/**
 * Fires the triggers of one symbol that a quote meets, each once and under the transaction
 * that set it. Waiting triggers are sorted by symbol and price, so a call reads only the
 * triggers that the quote meets.
 */
import { fireBuy, fireSell } from "../../../domain/desk/rules.ts";
import type { Quote } from "../../../domain/desk/quote.ts";
import { firedEvent } from "../stored/audit.ts";
import type { AccountDraft } from "../stored/draft.ts";
import { packTrigger } from "../stored/fields.ts";
import type { DeskCall } from "../stored/transaction.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { Redis } from "../../runtime/redis.ts";
import { AccountBook, type Desk, type DeskEvent, type Work } from "./book.ts";

/** Triggers of each side in one call. */
const FIRED_AT_ONCE = 200;

/**
 * The last trigger of each side that a call read: empty before the first, `-` if there are
 * no more.
 */
export interface FireCursor {
  readonly buys: string;
  readonly sells: string;
}

export interface FireArgs extends DeskCall {
  readonly symbol: string;
  readonly priceCents: number;
  readonly sourceTimeMs: Quote["sourceTimeMs"];
  /** The highest age of the quote. */
  readonly validMs: number;
  readonly after?: FireCursor;
}

export type FireReply =
  /** `next`: the quote may meet more triggers; call again with this position. */
  | { readonly kind: "fired"; readonly count: number; readonly next?: FireCursor }
  | { readonly kind: "stale" };

/** Triggers as their sorted sets store them, in the order in which they are met. */
interface Met {
  readonly buys: readonly string[];
  readonly sells: readonly string[];
}

/** Rejects if Redis fails. Triggers may have fired even so; the next call sees that. */
export async function fireTriggers(redis: Redis, args: FireArgs): Promise<FireReply> {
  if (args.priceCents <= 0) return { kind: "stale" };
  const met = await metBy(redis, args);
  const users = [...met.buys, ...met.sells].map(parseUser);
  if (users.length === 0) return { kind: "fired", count: 0 };
  return await new AccountBook(redis, args).work(users, 0, (desk) => fireAll(met, desk, args));
}

/** A buy waits until the quote falls to its price, a sell until it rises to it. */
async function metBy(
  redis: Redis,
  { partition, symbol, priceCents, after = { buys: "", sells: "" } }: FireArgs,
): Promise<Met> {
  const keys = new DeskKeys(partition);
  const limit = ["LIMIT", "0", String(FIRED_AT_ONCE)];
  const price = packTrigger(symbol, priceCents, "").trimEnd();
  async function side(
    [command, key]: readonly [command: string, key: string],
    cursor: string,
    [from, to]: readonly [from: string, to: string],
  ): Promise<string[]> {
    if (cursor === "-") return [];
    const start = cursor === "" ? from : `(${cursor}`;
    return (await redis.send(command, [key, start, to, ...limit])) as string[];
  }
  const [buys, sells] = await Promise.all([
    side(["ZRANGEBYLEX", keys.buyTriggers], after.buys, [`[${price}`, `(${symbol} ~`]),
    side(["ZREVRANGEBYLEX", keys.sellTriggers], after.sells, [`(${price}~`, `[${symbol} `]),
  ]);
  return { buys, sells };
}

function fireAll(
  met: Met,
  { atMs, account }: Desk,
  { symbol, priceCents, sourceTimeMs, validMs }: FireArgs,
): Work<FireReply> {
  if (atMs - sourceTimeMs > validMs) return { result: { kind: "stale" }, events: [] };
  const events: DeskEvent[] = [];
  for (const side of ["buy", "sell"] as const) {
    for (const trigger of side === "buy" ? met.buys : met.sells) {
      const user = parseUser(trigger);
      const of = account(user);
      if (!waits(of, side, symbol, trigger)) continue;
      // A trigger whose account would exceed its bound is skipped, so it does not block those
      // behind it.
      const fired = (side === "buy" ? fireBuy : fireSell)(of, symbol, priceCents);
      if (!fired) continue;
      events.push({ account: of, text: firedEvent(side, { user, symbol, priceCents }, fired) });
      of.rememberFired(side, symbol, fired, atMs);
    }
  }
  const next = { buys: nextCursor(met.buys), sells: nextCursor(met.sells) };
  const isLast = next.buys === "-" && next.sells === "-";
  return { result: { kind: "fired", count: events.length, ...(isLast ? {} : { next }) }, events };
}

/** Whether the trigger is unchanged since it was found: it may have fired, or been set again. */
function waits(
  account: AccountDraft,
  side: "buy" | "sell",
  symbol: string,
  trigger: string,
): boolean {
  const { buyPriceCents, sellPriceCents } = account.position(symbol);
  const priceCents = side === "buy" ? buyPriceCents : sellPriceCents;
  return priceCents > 0 && packTrigger(symbol, priceCents, account.user) === trigger;
}

function parseUser(trigger: string): string {
  return trigger.slice(trigger.lastIndexOf(" ") + 1);
}

function nextCursor(triggers: readonly string[]): string {
  return triggers.length === FIRED_AT_ONCE ? (triggers.at(-1) ?? "-") : "-";
}
