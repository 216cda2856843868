/**
 * Asked quotes, each paid for once. A valid quote in the shared cache is used. Otherwise
 * one server asks the source, once for all of its callers, and the other servers wait for
 * its answer. If an answer is slow, the source is asked again; every answer is counted and
 * reported. Every error gives a reason, never a price.
 */
import { getLogger } from "@logtape/logtape";
import type { Quote } from "../../../domain/desk/quote.ts";
import { releaseAsking, storeQuote, takeQuote } from "../stored/asked-quote.ts";
import { PAID_QUOTES_KEY } from "../stored/keys.ts";
import { nameOf } from "../../../http/place.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { askHedged } from "./hedge.ts";
import type { Answer, AskedSource } from "./port.ts";

export type QuotedAnswer = Extract<Answer, { kind: "quoted" }>;

export type AskedQuote =
  | { readonly kind: "quoted"; readonly quote: Quote }
  | {
      readonly kind: "unavailable";
      /**
       * What the source answered, or: its answer was too old; another server asked in vain; the
       * cache does not answer.
       */
      readonly reason: Exclude<Answer["kind"], "quoted"> | "stale" | "waited" | "cache";
    };

export interface AskedQuotesOptions {
  readonly redis: Redis;
  readonly source: AskedSource;
  /**
   * How long a question to the source may take. Its lease, and the wait of other servers,
   * last a second longer.
   */
  readonly timeoutMs: number;
  readonly now: () => number;
  /** Makes a new name for each lease. */
  readonly token: () => string;
  /** If no answer has come after this time, the source is asked again. */
  readonly hedgeAfterMs: number;
  /** Called for every paid quote. `wanted` is the one that the waiting callers get. */
  readonly onPaid?: (answer: QuotedAnswer, wanted: boolean) => void;
  /** Every answer that is billed, used or not. */
  readonly onBilled?: () => void;
}

/** How often a waiting server checks for the answer. */
const POLL_MS = 20;
const MOST_QUESTIONS = 4;

const log = getLogger(["fanfare", "quotes", "asked"]);

export function askedQuotes(options: AskedQuotesOptions): {
  /** If the source must be asked, it is asked in this user's name. */
  quoteOf(symbol: string, user?: string): Promise<AskedQuote>;
} {
  const flights = new Map<string, Promise<AskedQuote>>();
  return {
    quoteOf(symbol, user) {
      const underWay = flights.get(symbol);
      if (underWay) return underWay;
      const flight = fetchQuote(options, symbol, user)
        .catch((error: unknown): AskedQuote => {
          log.warn("the shared quotes do not answer: {error}", { error: nameOf(error) });
          return { kind: "unavailable", reason: "cache" };
        })
        .then((result) => {
          flights.delete(symbol);
          if (result.kind === "unavailable") {
            log.warn("no quote of {symbol}: {reason}", { symbol, reason: result.reason });
          }
          return result;
        });
      flights.set(symbol, flight);
      return flight;
    },
  };
}

/** Rejects only if Redis fails. */
async function fetchQuote(
  options: AskedQuotesOptions,
  symbol: string,
  user?: string,
): Promise<AskedQuote> {
  const { redis, source, timeoutMs, now } = options;
  const token = options.token();
  const leaseMs = timeoutMs + 1_000;
  const giveUpAtMs = now() + leaseMs;
  for (;;) {
    const taken = await run(redis, takeQuote, { symbol, token, leaseMs });
    if (taken.kind === "cached") return { kind: "quoted", quote: taken.quote };
    if (taken.kind === "ask") break;
    if (now() > giveUpAtMs) return { kind: "unavailable", reason: "waited" };
    await Bun.sleep(POLL_MS);
  }

  const counting: Promise<unknown>[] = [];
  const answer = await askHedged(() => source.ask(symbol, user), {
    afterMs: options.hedgeAfterMs,
    most: MOST_QUESTIONS,
    onAnswer(each, wanted) {
      // The source bills each question that it received, whether its answer is used or not.
      if (each.kind !== "refused") {
        options.onBilled?.();
        // If Redis does not store a count, the count is missing, but the quote is delivered.
        counting.push(redis.send("INCR", [PAID_QUOTES_KEY]).catch(() => {}));
      }
      if (each.kind === "quoted") options.onPaid?.(each, wanted);
    },
  });
  await Promise.all(counting);
  if (answer.kind !== "quoted") {
    await run(redis, releaseAsking, { symbol, token });
    return { kind: "unavailable", reason: answer.kind };
  }
  const quote = await run(redis, storeQuote, { quote: answer.quote, token });
  return quote ? { kind: "quoted", quote } : { kind: "unavailable", reason: "stale" };
}
