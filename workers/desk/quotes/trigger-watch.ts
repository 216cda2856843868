/**
 * Fires the desk's waiting triggers as quotes arrive. A streamed quote fires at once. For
 * any other symbol the source is asked when a trigger waits and the last quote has
 * expired. Each trigger fires in one step, once, so any number of watches may look at the
 * same desk. Each look compares the waiting triggers with the present quotes; nothing
 * depends on an earlier look.
 */
import { getLogger } from "@logtape/logtape";
import {
  ASKED_QUOTE_VALID_MS,
  ASKED_SYMBOL_PATTERN,
  centsOf,
  STREAMED_QUOTE_VALID_MS,
  type Quote,
} from "../../../domain/desk/quote.ts";
import { storeQuote } from "../stored/asked-quote.ts";
import { waitingTriggers, type TriggerSide } from "../stored/waiting.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { fireTriggers, type FireCursor } from "../accounts/fire.ts";
import { nameOf } from "../../../http/place.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import type { AskedQuote } from "./asked-quotes.ts";

export interface TriggerWatchOptions {
  readonly redis: Redis;
  readonly partitions: PartitionMap;
  /** The server name in the audit. */
  readonly server: string;
  readonly streamed: readonly string[];
  readonly asked: { quoteOf(symbol: string): Promise<AskedQuote> };
  readonly now: () => number;
}

export interface TriggerWatch {
  /** Takes quotes of the stream, in their order. */
  add(quotes: readonly Quote[]): void;
  /** Looks at the waiting triggers at intervals, until stopped. */
  follow(stop: AbortSignal): Promise<void>;
}

const LOOK_MS = 500;
/** A symbol without a quote is not requested, and not paid for, at each look. */
const ASK_AGAIN_MS = 10_000;
/** Open questions; the other symbols are requested at the next look. */
const MAX_ASKING = 64;
/**
 * Streamed quotes that wait to fire triggers. Beyond this they are old, and newer ones
 * have come.
 */
const MAX_QUEUED = 1_000;

/** A partition and side in which triggers of a symbol wait. */
interface Wait {
  readonly partition: number;
  readonly side: TriggerSide;
  /** The price that is met first. */
  readonly priceCents: number;
}

const log = getLogger(["fanfare", "quotes", "triggers"]);

export function triggerWatch(options: TriggerWatchOptions): TriggerWatch {
  const { redis, partitions, now } = options;
  const call = { partitions: partitions.count, server: options.server };
  const streamed = new Set(options.streamed);
  const quotes = new Map<string, Quote>();
  const asking = new Set<string>();
  const askAgainAtMs = new Map<string, number>();
  const queued: Quote[] = [];
  let firing = false;

  async function fire(quote: Quote, where: Iterable<number>): Promise<void> {
    const priceCents = centsOf(quote);
    if (priceCents === undefined) return;
    const { symbol, sourceTimeMs } = quote;
    const terms = { ...call, symbol, priceCents, sourceTimeMs, validMs: validMsOf(symbol) };
    for (const partition of where) {
      let after: FireCursor | undefined;
      do {
        const args = { ...terms, partition, ...(after ? { after } : {}) };
        const fired = await fireTriggers(redis, args);
        after = fired.kind === "fired" ? fired.next : undefined;
      } while (after);
    }
  }

  function validMsOf(symbol: string): number {
    return streamed.has(symbol) ? STREAMED_QUOTE_VALID_MS : ASKED_QUOTE_VALID_MS;
  }

  function isValid({ symbol, sourceTimeMs }: Quote): boolean {
    return now() - sourceTimeMs < validMsOf(symbol);
  }

  async function fireQueued(): Promise<void> {
    for (let quote = queued.shift(); quote; quote = queued.shift()) {
      if (!isValid(quote)) continue;
      try {
        // For the desk servers, which also buy and sell at it.
        await run(redis, storeQuote, { quote, token: "" });
        await fire(quote, partitions.all());
      } catch (error) {
        const { symbol } = quote;
        log.warn("triggers of {symbol} wait for Redis: {error}", { symbol, error: nameOf(error) });
      }
    }
    firing = false;
  }

  async function look(): Promise<void> {
    const waits = await findWaits(redis, partitions);
    for (const symbol of quotes.keys()) if (!waits.has(symbol)) quotes.delete(symbol);
    for (const symbol of askAgainAtMs.keys()) if (!waits.has(symbol)) askAgainAtMs.delete(symbol);
    for (const [symbol, where] of waits) {
      const quote = quotes.get(symbol);
      if (quote && isValid(quote)) await fireWhereMet(quote, where);
      else if (!streamed.has(symbol)) ask(symbol, where);
    }
  }

  async function fireWhereMet(quote: Quote, where: readonly Wait[]): Promise<void> {
    const cents = centsOf(quote);
    if (cents === undefined) return;
    const met = where.filter(({ side, priceCents }) =>
      side === "buy" ? cents <= priceCents : cents >= priceCents,
    );
    await fire(quote, new Set(met.map(({ partition }) => partition)));
  }

  function ask(symbol: string, where: readonly Wait[]): void {
    if (asking.has(symbol) || asking.size >= MAX_ASKING) return;
    if (now() < (askAgainAtMs.get(symbol) ?? 0)) return;
    asking.add(symbol);
    void options.asked
      .quoteOf(symbol)
      .then(async (answer) => {
        if (answer.kind === "quoted") {
          quotes.set(symbol, answer.quote);
          await fireWhereMet(answer.quote, where);
        } else askAgainAtMs.set(symbol, now() + ASK_AGAIN_MS);
      })
      .catch((error: unknown) => {
        log.warn("triggers of {symbol} wait for Redis: {error}", { symbol, error: nameOf(error) });
      })
      .finally(() => asking.delete(symbol));
  }

  return {
    add(ticks) {
      for (const quote of ticks) {
        // Only stocks have triggers.
        if (!ASKED_SYMBOL_PATTERN.test(quote.symbol)) continue;
        quotes.set(quote.symbol, quote);
        queued.push(quote);
      }
      if (queued.length > MAX_QUEUED) queued.splice(0, queued.length - MAX_QUEUED);
      if (firing || queued.length === 0) return;
      firing = true;
      void fireQueued();
    },
    async follow(stop) {
      while (!stop.aborted) {
        try {
          await look();
        } catch (error) {
          log.warn("triggers wait for Redis: {error}", { error: nameOf(error) });
        }
        await Bun.sleep(LOOK_MS);
      }
    },
  };
}

/** By symbol. Rejects if Redis fails. */
async function findWaits(
  redis: Redis,
  partitions: PartitionMap,
): Promise<ReadonlyMap<string, readonly Wait[]>> {
  const waits = new Map<string, Wait[]>();
  for (const partition of partitions.all()) {
    for (const side of ["buy", "sell"] as const) {
      let after: string | undefined;
      do {
        const args = { partition, side, ...(after === undefined ? {} : { after }) };
        const { waiting, more } = await run(redis, waitingTriggers, args);
        for (const { symbol, priceCents } of waiting) {
          const wait = { partition, side, priceCents };
          const known = waits.get(symbol);
          if (known) known.push(wait);
          else waits.set(symbol, [wait]);
        }
        after = more ? waiting.at(-1)?.symbol : undefined;
      } while (after !== undefined);
    }
  }
  return waits;
}
