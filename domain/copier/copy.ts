/**
 * A copy: one follower's share of a signal, from the decision to its outcome.
 * It stays one small object from start to end, because a job has hundreds of them.
 */
import type { PersonId } from "../ids.ts";
import type { Order, OrderTerms } from "./order.ts";
import type { Outcome, SkipReason } from "./outcome.ts";

/**
 * What may be done with a copy's order:
 *
 * - `skipped`: nothing: the decision was to make no order;
 * - `unsent`: it may be sent, and has not been sent;
 * - `maybe-sent`: it may have been sent, and is sent again only if that cannot open it twice;
 * - `ask-only`: it may have been sent, and today's facts forbid it: the broker is only asked about it.
 */
export type CopyState = "skipped" | "unsent" | "maybe-sent" | "ask-only";

/** How an order counts in its follower's usage; void unless the usage is still `before` when it is written. */
export interface Reservation {
  readonly before: string;
  /** The UTC day of the decision: the stake counts on it, or on the usage's day if that is later. */
  readonly day: number;
}

/** A copy has the fields of an order, so that it is sent to a broker as it is. */
export interface Copy extends Order {
  /** Undefined if the roster no longer says who it was. */
  readonly follower: PersonId | undefined;
  /** Undefined if the order has the signal's own terms. */
  readonly terms: OrderTerms | undefined;
  /** Whether it counts in its follower's usage of caps. */
  readonly isReserved: boolean;
  /** How it will count there; undefined once that is written. */
  readonly reservation: Reservation | undefined;
  state: CopyState;
  /** Why it is skipped, unless it was opened in part; a copy without a reason missed its deadline. */
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
