/**
 * The quotes at which a desk server trades stocks: its own copy of the shared cache, and
 * the access to quotes that are not in it.
 */
import {
  ASKED_QUOTE_VALID_MS,
  centsOf,
  STREAMED_QUOTE_VALID_MS,
} from "../../../domain/desk/quote.ts";
import type { PaidAnswer } from "../stored/audit.ts";
import type { AskedQuote, QuotedAnswer } from "../quotes/asked-quotes.ts";
import { paidAnswer } from "../quotes/paid.ts";

export interface StockQuote {
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  /** The paid answer that brought this quote, for the one command that caused the question. */
  readonly paid?: PaidAnswer;
}

export interface StockQuotes {
  /** Undefined if no quote will still be valid when a command arrives at Redis. */
  known(symbol: string): StockQuote | undefined;
  /** Undefined if there is no quote. */
  fetch(symbol: string, user: string): Promise<StockQuote | undefined>;
}

export interface StockQuotesOptions {
  /** Makes the source, with the function that it calls for paid answers. */
  readonly source: (onPaid: (answer: QuotedAnswer, wanted: boolean) => void) => {
    quoteOf(symbol: string, user?: string): Promise<AskedQuote>;
  };
  /** Audits an answer that will belong to no command. */
  readonly onUnclaimed: (answer: QuotedAnswer) => void;
  readonly now: () => number;
  /** Symbols with a steady stream of quotes: a copy of one is soon old. */
  readonly streamed: readonly string[];
}

/** Time for a command to arrive at Redis, whose clock decides. */
const MARGIN_MS = 250;

export function stockQuotes(options: StockQuotesOptions): StockQuotes {
  const { source, onUnclaimed, now } = options;
  const streamed = new Set(options.streamed);
  const copies = new Map<string, StockQuote>();
  /**
   * By symbol and user: the caller that asks waits for the answer, and takes it for its
   * command.
   */
  const claims = new Map<string, QuotedAnswer | undefined>();
  const asked = source((answer, wanted) => {
    const claim = `${answer.quote.symbol} ${answer.user}`;
    if (wanted && claims.has(claim)) claims.set(claim, answer);
    else onUnclaimed(answer);
  });

  return {
    known(symbol) {
      const copy = copies.get(symbol);
      if (copy === undefined) return undefined;
      const validMs = streamed.has(symbol) ? STREAMED_QUOTE_VALID_MS : ASKED_QUOTE_VALID_MS;
      return now() - copy.quoteTimeMs < validMs - MARGIN_MS ? copy : undefined;
    },
    async fetch(symbol, user) {
      const claim = `${symbol} ${user}`;
      claims.set(claim, undefined);
      const result = await asked.quoteOf(symbol, user);
      const answer = claims.get(claim);
      claims.delete(claim);
      const priceCents = result.kind === "quoted" ? centsOf(result.quote) : undefined;
      if (result.kind !== "quoted" || priceCents === undefined) {
        if (answer) onUnclaimed(answer);
        return undefined;
      }
      const copy = { priceCents, quoteTimeMs: result.quote.sourceTimeMs };
      copies.set(symbol, copy);
      return answer ? { ...copy, paid: paidAnswer(answer) } : copy;
    },
  };
}
