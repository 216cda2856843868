/**
 * The house's asked quotes: one source with hedged questions and a circuit breaker, for
 * every role that needs a quote.
 */
import type { Redis } from "../../runtime/redis.ts";
import { askedQuotes, type AskedQuotesOptions } from "./asked-quotes.ts";
import { breaker } from "./breaker.ts";
import type { QuotesSettings } from "./env.ts";
import { legacySource } from "./legacy.ts";

/** If no user asked for a quote, the source is asked in the house's name. */
export const HOUSE_USER = "fanfare";
/** The legacy server answers within about four seconds, or not at all. */
export const ASK_TIMEOUT_MS = 5_000;
/** It answers in about ten milliseconds two times in three, and in seconds otherwise. */
const HEDGE_AFTER_MS = 50;
const FAILURES = 5;
const PAUSE_MS = 1_000;

export function houseQuotes(
  redis: Redis,
  env: Pick<QuotesSettings, "FANFARE_QUOTES_ASKED" | "FANFARE_QUOTES_SYMBOLS">,
  listeners: Pick<AskedQuotesOptions, "onPaid" | "onBilled"> = {},
): ReturnType<typeof askedQuotes> {
  const source = legacySource({
    url: env.FANFARE_QUOTES_ASKED,
    user: HOUSE_USER,
    timeoutMs: ASK_TIMEOUT_MS,
  });
  const guarded = breaker(source, { failures: FAILURES, pauseMs: PAUSE_MS, now: Date.now });
  const streamed = new Set(env.FANFARE_QUOTES_SYMBOLS);
  return askedQuotes({
    redis,
    source: {
      // A streamed symbol is in the cache while the stream lives. Otherwise there is no quote of
      // it.
      ask: async (symbol, user) =>
        streamed.has(symbol) ? { kind: "refused" } : await guarded.ask(symbol, user),
    },
    timeoutMs: ASK_TIMEOUT_MS,
    now: Date.now,
    token: () => crypto.randomUUID(),
    hedgeAfterMs: HEDGE_AFTER_MS,
    ...listeners,
  });
}
