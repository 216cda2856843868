/**
 * A quote: what a symbol cost, according to its source, at a moment of the source's clock.
 * A line from outside becomes a quote, or nothing. The price must be a positive decimal;
 * it is never rounded, guessed or filled in.
 */
import { parseMicros } from "../money.ts";

export interface Quote {
  readonly symbol: string;
  readonly priceMicros: number;
  /** Epoch milliseconds. */
  readonly sourceTimeMs: number;
}

/** How long an asked quote is valid, from the source's time. */
export const ASKED_QUOTE_VALID_MS = 60_000;

/** A streamed quote older than this is stale. */
export const STREAMED_QUOTE_VALID_MS = 1_000;

/** The symbols that the legacy quote server accepts. */
export const ASKED_SYMBOL_PATTERN = /^[A-Z]{1,3}$/;

/** Reads `price,SYM,userid,timestampMs,cryptokey`. The answer must match this question. */
export function parseAnswer(line: string, symbol: string, user: string): Quote | undefined {
  const [price = "", answered, answeredUser, time = "", key = "", ...rest] = line.split(",");
  if (answered !== symbol || answeredUser !== user || key === "" || rest.length > 0) {
    return undefined;
  }
  return buildQuote(symbol, price, time);
}

/** Reads a stream's line `SYM,price,timestampMs`. */
export function parseTick(line: string): Quote | undefined {
  const [symbol = "", price = "", time = "", ...rest] = line.split(",");
  return rest.length > 0 ? undefined : buildQuote(symbol, price, time);
}

function buildQuote(symbol: string, price: string, time: string): Quote | undefined {
  const priceMicros = parseMicros(price);
  if (priceMicros === undefined || !/^[1-9]\d{0,14}$/.test(time)) return undefined;
  return { symbol, priceMicros, sourceTimeMs: Number(time) };
}

/**
 * The price in whole cents, at which stocks are traded. Undefined if it has a fraction of
 * a cent.
 */
export function centsOf({ priceMicros }: Quote): number | undefined {
  return priceMicros % 10_000 === 0 ? priceMicros / 10_000 : undefined;
}
