/** The fake broker's kind and its faults. */
import type { Capabilities } from "../../workers/copier/brokers/port.ts";

/** Its fixed settings, given on the command line as one JSON. */
export interface FakeBrokerSettings extends Omit<Capabilities, "inFlightMs"> {
  readonly port: number;
  /** The port at which its faults are set and its accounts filled, also while it is dead. */
  readonly controlPort: number;
  readonly book: string;
  readonly seed: number;
  /** The duration of `ten-minutes`; shorter in its own test. */
  readonly windowMs: number;
}

/**
 * Its faults; changed at any time by `POST /faults` on its control port. Shares are from 0 to 1, of
 * the calls that open or close.
 */
export interface Faults {
  /** Closes connections, refuses new ones, and books nothing. */
  readonly dead: boolean;
  /** The connection is reset before anything is booked, or after all of it is. */
  readonly resetBefore: number;
  readonly resetAfter: number;
  /** 429 with Retry-After. */
  readonly busy: number;
  readonly retryAfterMs: number;
  /** Booked at once, never answered. */
  readonly silent: number;
  /**
   * The share of orders that are filled in part: booked and answered with a smaller stake than
   * requested.
   */
  readonly partial: number;
  /** The longest delay before a call is booked, and the longest delay of its answer. */
  readonly beforeMs: number;
  readonly afterMs: number;
}

export const NO_FAULTS: Faults = {
  dead: false,
  resetBefore: 0,
  resetAfter: 0,
  busy: 0,
  retryAfterMs: 50,
  silent: 0,
  partial: 0,
  beforeMs: 0,
  afterMs: 0,
};

/** Mulberry32: small, seeded, and good enough to choose faults. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
