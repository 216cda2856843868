/**
 * The answer to a signal, and what is shown of its copies: the same names at the edge, in the
 * records API and on the page.
 */
import type { OutcomeCounts } from "./outcome.ts";

/** The answer to a signal that was accepted. */
export interface Acceptance {
  readonly id: string;
  /** 1, 2, 3 … within the channel. */
  readonly sequence: number;
  readonly acceptedAtMs: number;
  /** How many followers were on the roster at the acceptance. */
  readonly followers: number;
}

export type Counts = OutcomeCounts & { readonly followers: number };

export interface Timing {
  readonly acceptedAtMs: number;
  /** Milliseconds from the acceptance to the first and the last answer of a broker; null before the first. */
  readonly firstMs: number | null;
  readonly lastMs: number | null;
}

export interface Progress {
  readonly id: string;
  /**
   * `complete` once every follower has an outcome; an unknown outcome counts, and may still change.
   */
  readonly status: "running" | "complete";
  readonly counts: Counts;
  readonly timing: Timing;
}

/** What became of the copies that were placed. */
export interface Results {
  /** Placed and not settled yet. */
  readonly open: number;
  readonly won: number;
  readonly lost: number;
  readonly void: number;
  /** Sold back before the end. */
  readonly sold: number;
  /** Of a close: positions that it closed. */
  readonly closed: number;
  /** Of all placed or closed copies. */
  readonly stakeCents: number;
  readonly returnCents: number;
}

export function deriveStatus({ followers, ...outcomes }: Counts): Progress["status"] {
  const done = outcomes.placed + outcomes.rejected + outcomes.skipped + outcomes.unknown;
  return done >= followers ? "complete" : "running";
}
