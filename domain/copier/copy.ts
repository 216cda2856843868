/**
 * A copy: one follower's share of a signal, from the decision to its outcome.
 * It is one small object for all of its life, as there are hundreds in a job.
 */
import type { PersonId } from "../ids.ts";
import type { Order, OrderTerms } from "./order.ts";
import type { Outcome, SkipReason } from "./outcome.ts";

/**
 * What may be done with a copy's order:
 *
 * - `skipped`: nothing; it was decided that none is made;
 * - `unsent`: it may be sent, and has not been;
 * - `maybe-sent`: it may have been sent, and is sent again only where that cannot open it twice;
 * - `ask-only`: it may have been sent, and today's facts forbid it: the broker is only asked about it.
 */
export type CopyState = "skipped" | "unsent" | "maybe-sent" | "ask-only";

/** The order counts in its follower's usage, and is void unless that is still `before` when it is written. */
export interface Reservation {
  readonly before: string;
  /** The UTC day of the decision: the stake counts on it, or on that of the usage if it is later. */
  readonly day: number;
}

/** The order's fields are those of an order, so that copies are sent to a broker as they are. */
export interface Copy extends Order {
  /** Undefined where the roster does not know any more who it was. */
  readonly follower: PersonId | undefined;
  /** Undefined where the order is on the signal's own terms. */
  readonly terms: OrderTerms | undefined;
  /** Whether it counts in its follower's usage of caps. */
  readonly isReserved: boolean;
  /** How it is to count there; undefined once that is written. */
  readonly reservation: Reservation | undefined;
  state: CopyState;
  /** What it is skipped for, unless something of it was opened; a copy without one missed its deadline. */
  reason: SkipReason | undefined;
  /** Undefined until it has ended. */
  outcome: Outcome | undefined;
}

export function mayStillLeave({ state }: Copy): boolean {
  return state === "unsent" || state === "maybe-sent";
}

/** Ends a copy of which nothing was opened. */
export function endUnopened(copy: Copy): void {
  copy.outcome = { kind: "skipped", reason: copy.reason ?? "TOO_LATE" };
}
