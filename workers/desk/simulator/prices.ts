/**
 * The simulator's price of a symbol: the walk at this moment, or the price that a file
 * fixes. The file is read again for every price. If it is incomplete or malformed, the
 * last good version remains valid.
 */
import { readFileSync } from "node:fs";
import { formatMicros, parseMicros } from "../../../domain/money.ts";
import { SYMBOL_PATTERN } from "../../../domain/instrument.ts";
import { priceMicrosAt, STREAMED_SYMBOLS, walkOf } from "./walk.ts";

/** The walk makes five steps a second. */
export const STEP_MS = 200;

const OTHERS = "*";
const NONE = "-";

/**
 * A decimal price with the usual number of decimals of the symbol; undefined if it has no
 * price.
 */
export type Prices = (symbol: string, nowMs: number) => string | undefined;

export function walkingPrices(seed: number): Prices {
  return (symbol, nowMs) => {
    const micros = priceMicrosAt(seed, symbol, Math.floor(nowMs / STEP_MS));
    const zeros = Math.log10(walkOf(seed, symbol).tickMicros);
    return formatMicros(micros).slice(0, -zeros);
  };
}

export function fixedPrices(file: string, otherwise: Prices): Prices {
  let fixed: ReadonlyMap<string, string> = new Map();
  return (symbol, nowMs) => {
    fixed = readPrices(file) ?? fixed;
    const price = fixed.get(symbol) ?? (isStreamed(symbol) ? undefined : fixed.get(OTHERS));
    return price === undefined ? otherwise(symbol, nowMs) : price === NONE ? undefined : price;
  };
}

/**
 * Lines `SYM,price`, each with its newline; `*` for all other asked symbols, and `-` for
 * no price.
 */
function readPrices(file: string): Map<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // The file is being rewritten: the earlier prices remain valid until it is complete.
    return undefined;
  }
  const lines = text.split("\n");
  if (lines.pop() !== "") return undefined;
  const prices = new Map<string, string>();
  for (const line of lines) {
    const [symbol = "", price = "", ...rest] = line.split(",");
    const named = symbol === OTHERS || SYMBOL_PATTERN.test(symbol);
    const priced = price === NONE || parseMicros(price) !== undefined;
    if (!named || !priced || rest.length > 0) return undefined;
    prices.set(symbol, price);
  }
  return prices;
}

function isStreamed(symbol: string): boolean {
  return STREAMED_SYMBOLS.includes(symbol);
}
