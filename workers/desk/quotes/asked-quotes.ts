/**
 * Asked quotes, paid for once: a valid quote in the shared cache is taken;
 * otherwise one server asks, once however many of its callers want it, and the
 * others wait for its answer. A slow answer is asked for a second time, and
 * every answer is counted and told. Whatever goes wrong is a reason, never a
 * price.
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
      /** What the source did, or: its answer was too old; another server asked in vain; the cache does not answer. */
      readonly reason: Exclude<Answer["kind"], "quoted"> | "stale" | "waited" | "cache";
    };

export interface AskedQuotesOptions {
  readonly redis: Redis;
  readonly source: AskedSource;
  /** How long a question to the source may take; its lease, and those who wait for it, last a second longer. */
  readonly timeoutMs: number;
  readonly now: () => number;
  /** A new name for each lease. */
  readonly token: () => string;
  /** After how long an answer that has not come is asked for again. */
  readonly hedgeAfterMs: number;
  /** Every quote that was paid for; `wanted` is the one that those who wait for it get. */
  readonly onPaid?: (answer: QuotedAnswer, wanted: boolean) => void;
  /** Every answer that is billed, whether or not it was of use. */
  readonly onBilled?: () => void;
}

/** How often those who wait look whether the answer is there. */
const POLL_MS = 20;
const MOST_QUESTIONS = 4;

const log = getLogger(["fanfare", "quotes", "asked"]);

export function askedQuotes(options: AskedQuotesOptions): {
  /** Asked, if need be, in this user's name. */
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

/** Rejects only where Redis does. */
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
      // The source bills what reached it, whether or not its answer was of use.
      if (each.kind !== "refused") {
        options.onBilled?.();
        // A count that Redis does not take is missing, and costs no quote.
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
