/**
 * How one follower's copy of a signal ended. Everyone on the roster at the
 * acceptance ends in exactly one of these. `unknown` is a type of its own, so
 * that no caller can send such an order again by mistake: it may only be asked
 * about.
 */

/** Why a copy was never sent. The texts are shown to the follower. */
export const SKIP_REASONS = {
  LEFT: "The subscription ended after the signal was accepted.",
  PAUSED: "The subscription is paused.",
  EXPIRED: "The subscription has run out.",
  SYMBOL_NOT_ALLOWED: "The copy plan does not include this symbol.",
  STAKE_TOO_SMALL: "The copy plan leaves nothing to stake.",
  TOO_LATE: "The deadline passed before the order could be sent.",
  HALTED: "Trading was halted.",
} as const;
export type SkipReason = keyof typeof SKIP_REASONS;

/** Why a broker said no. The texts are shown to the follower. */
export const REJECT_REASONS = {
  ACCOUNT_UNKNOWN: "The broker does not know the account.",
  BALANCE_TOO_LOW: "The account's balance does not cover the stake.",
  QUOTE_STALE: "The broker had no quote younger than a second.",
  PAST_VALID_UNTIL: "The order reached the broker after its deadline.",
  REFUSED: "The broker refused the order.",
} as const;
export type RejectReason = keyof typeof REJECT_REASONS;

export type Outcome =
  | {
      readonly kind: "placed";
      readonly stakeCents: number;
      readonly openPriceMicros: number;
      /** Epoch milliseconds of the broker's clock. */
      readonly openedAtMs: number;
      readonly expiresAtMs: number;
    }
  | { readonly kind: "rejected"; readonly stakeCents: number; readonly reason: RejectReason }
  | { readonly kind: "skipped"; readonly reason: SkipReason }
  | { readonly kind: "unknown"; readonly stakeCents: number };

export type OutcomeKind = Outcome["kind"];
export const OUTCOME_KINDS = ["placed", "rejected", "skipped", "unknown"] as const;

export type OutcomeCounts = Readonly<Record<OutcomeKind, number>>;

export function countOutcomes(outcomes: Iterable<Outcome>): OutcomeCounts {
  const counts = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  for (const outcome of outcomes) counts[outcome.kind] += 1;
  return counts;
}
