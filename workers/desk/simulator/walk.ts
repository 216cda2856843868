/**
 * A seeded random walk. Its price at any step is a pure function of seed, symbol and step,
 * so a restarted server continues as if it had never stopped, and two servers agree. The
 * walk is a sum of random lines with corners every 1, 2, 4 … steps, each wider than the
 * one before by √2, as in a random walk at each scale. It uses only sums and products of
 * numbers, so every machine computes the same.
 */
import { own } from "../../../domain/own.ts";

export interface Walk {
  readonly startMicros: number;
  /** The price is a multiple of this. */
  readonly tickMicros: number;
  /**
   * The approximate size of one step, as a share of the price. At most 1/1000, so that no
   * price falls to zero.
   */
  readonly stepShare: number;
}

/** Sixteen octaves bound the walk: it stays within the width of 616 steps around its start. */
const OCTAVES = 16;

const STREAMED_WALKS: Readonly<Record<string, Walk>> = {
  "EUR/USD": { startMicros: 1_084_000, tickMicros: 10, stepShare: 2.5e-5 },
  "GBP/USD": { startMicros: 1_271_000, tickMicros: 10, stepShare: 2.5e-5 },
  "USD/JPY": { startMicros: 151_200_000, tickMicros: 1_000, stepShare: 2.5e-5 },
  "BTC/USD": { startMicros: 67_500_000_000, tickMicros: 10_000, stepShare: 1e-4 },
  R_100: { startMicros: 1_480_000_000, tickMicros: 10_000, stepShare: 1e-4 },
};

/** The contract symbols that the simulator streams. */
export const STREAMED_SYMBOLS: readonly string[] = Object.keys(STREAMED_WALKS);

/** Any other symbol starts between 5.00 and 505.00, in cents. */
export function walkOf(seed: number, symbol: string): Walk {
  return (
    own(STREAMED_WALKS, symbol) ?? {
      startMicros:
        5_000_000 + Math.floor(noise(seed, hashName(symbol), OCTAVES, 0) * 50_000) * 10_000,
      tickMicros: 10_000,
      stepShare: 1e-3,
    }
  );
}

export function priceMicrosAt(seed: number, symbol: string, step: number): number {
  const { startMicros, tickMicros, stepShare } = walkOf(seed, symbol);
  const name = hashName(symbol);
  let distance = 0;
  let width = 1;
  let period = 1;
  for (let octave = 0; octave < OCTAVES; octave += 1) {
    const corner = Math.floor(step / period);
    const from = noise(seed, name, octave, corner);
    const to = noise(seed, name, octave, corner + 1);
    distance += width * (2 * (from + (to - from) * (step / period - corner)) - 1);
    width *= Math.SQRT2;
    period *= 2;
  }
  return Math.round((startMicros * (1 + stepShare * distance)) / tickMicros) * tickMicros;
}

function hashName(symbol: string): number {
  return noise(...Array.from(symbol, (letter) => letter.charCodeAt(0))) * 2 ** 32;
}

/** A number from 0 to below 1: the same for the same inputs, and unrelated for others. */
export function noise(...numbers: readonly number[]): number {
  let value = 0x9e3779b9;
  for (const number of numbers) {
    // The finaliser of MurmurHash3, over the low and the high half of each number.
    for (const half of [number >>> 0, Math.floor(number / 2 ** 32) >>> 0]) {
      value = Math.imul(value ^ half, 0x85ebca6b);
      value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
      value ^= value >>> 16;
    }
  }
  return (value >>> 0) / 2 ** 32;
}
