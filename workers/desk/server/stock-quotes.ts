/** The quotes that a desk server trades stocks at: its own copy of the shared cache, and the way to get what is not in it. */
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
  /** The answer that was paid for to get this, for the one command that was why. */
  readonly paid?: PaidAnswer;
}

export interface StockQuotes {
  /** Undefined where there is none that will still be valid when a command has reached Redis. */
  known(symbol: string): StockQuote | undefined;
  /** Undefined where none is to be had. */
  fetch(symbol: string, user: string): Promise<StockQuote | undefined>;
}

export interface StockQuotesOptions {
  /** Makes the source, told who wants to hear of paid answers. */
  readonly source: (onPaid: (answer: QuotedAnswer, wanted: boolean) => void) => {
    quoteOf(symbol: string, user?: string): Promise<AskedQuote>;
  };
  /** Audits an answer that no command is going to. */
  readonly onUnclaimed: (answer: QuotedAnswer) => void;
  readonly now: () => number;
  /** Symbols whose quotes come anew all the time: a copy of one is soon old. */
  readonly streamed: readonly string[];
}

/** Time for a command to reach Redis, whose clock decides. */
const MARGIN_MS = 250;

export function stockQuotes(options: StockQuotesOptions): StockQuotes {
  const { source, onUnclaimed, now } = options;
  const streamed = new Set(options.streamed);
  const copies = new Map<string, StockQuote>();
  /** By symbol and user: who asks waits for the answer, and takes it along. */
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
