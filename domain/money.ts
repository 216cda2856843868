/**
 * Money is an integer of minor units (cents), limited so that the sum of a billion amounts is still
 * exact in a double; a price is an integer of millionths. Neither is ever a fraction.
 */

/** 10^12 minor units: the largest accepted amount. */
export const MAX_AMOUNT_CENTS = 1_000_000_000_000;

/** Ten thousand basis points are the whole. */
const WHOLE_BP = 10_000;

export function isAmountCents(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= MAX_AMOUNT_CENTS;
}

/** A share of an amount in basis points, rounded down. Exact over the whole range of amounts. */
export function shareOf(amountCents: number, shareBp: number): number {
  return Number((BigInt(amountCents) * BigInt(shareBp)) / BigInt(WHOLE_BP));
}

/** `12345` → `"123.45"`. */
export function formatCents(cents: number): string {
  return formatScaled(cents, 100, 2);
}

/** `1084230` → `"1.084230"`. */
export function formatMicros(micros: number): string {
  return formatScaled(micros, 1_000_000, 6);
}

function formatScaled(value: number, scale: number, digits: number): string {
  const sign = value < 0 ? "-" : "";
  const size = Math.abs(value);
  return `${sign}${Math.trunc(size / scale)}.${String(size % scale).padStart(digits, "0")}`;
}

/**
 * `"5"`, `"5.1"`, `"5.10"` → cents; any other text, or an amount outside the limits, is
 * `undefined`.
 */
export function parseCents(text: string): number | undefined {
  const cents = parseScaled(text, 2);
  return cents !== undefined && isAmountCents(cents) ? cents : undefined;
}

/** A positive decimal price with at most six decimals → millionths, or `undefined`. */
export function parseMicros(text: string): number | undefined {
  const micros = parseScaled(text, 6);
  return micros !== undefined && micros > 0 ? micros : undefined;
}

function parseScaled(text: string, digits: number): number | undefined {
  const match = /^(\d{1,15})(?:\.(\d+))?$/.exec(text);
  const decimals = match?.[2] ?? "";
  if (!match || decimals.length > digits) return undefined;
  const value = Number(`${match[1] ?? ""}${decimals.padEnd(digits, "0")}`);
  return Number.isSafeInteger(value) ? value : undefined;
}
