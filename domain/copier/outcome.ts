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
  FOLLOWER_PAUSED: "The follower paused all copying.",
  CHANNEL_PAUSED: "The channel is paused.",
  PROVIDER_PAUSED: "The provider is paused.",
  PLATFORM_PAUSED: "All copying is paused.",
  EXPIRED: "The subscription has run out.",
  SYMBOL_NOT_ALLOWED: "The copy plan does not include this symbol.",
  SYMBOL_DENIED: "The copy plan rules this symbol out.",
  TOO_LATE: "The deadline passed before the order could be sent.",
  TOO_OLD: "The signal was older than the copy plan allows.",
  PAYOUT_UNKNOWN:
    "The broker did not say what the symbol pays, and the copy plan asks for a minimum.",
  PAYOUT_TOO_LOW: "The symbol pays less than the copy plan's minimum.",
  NOT_SIZED: "Nothing says how much to stake.",
  BALANCE_UNKNOWN: "The broker did not say what is in the account, of which the stake is a share.",
  STAKE_TOO_SMALL: "The copy plan leaves nothing to stake.",
  DAY_LOSS: "The day's losses reached the copy plan's limit.",
  OPEN_CAP: "As many positions are open as the copy plan allows.",
  ACCOUNT_BUSY: "As many of the account's orders were under way as the broker takes at once.",
  DAY_CAP: "The stake would exceed what the copy plan allows for the day.",
  HALTED: "Trading was halted.",
  DRAINED: "Trading was being drained: nothing new was opened.",
  NOT_OPEN: "There was no open position to close.",
  FAULT:
    "A fault on our side kept the order from being made. Nothing was opened; the operator has the details.",
} as const;
export type SkipReason = keyof typeof SKIP_REASONS;

/** Why a broker said no. The texts are shown to the follower. */
export const REJECT_REASONS = {
  ACCOUNT_UNKNOWN: "The broker does not know the account.",
  BALANCE_TOO_LOW: "The account's balance does not cover the stake.",
  QUOTE_STALE: "The broker had no quote younger than a second.",
  PAST_VALID_UNTIL: "The order reached the broker after its deadline.",
  REFUSED: "The broker refused the order.",
  CLOSE_UNSUPPORTED: "The broker does not buy positions back.",
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

/**
 * How one copy's close ended. A copy that was never opened, has expired, or was
 * closed before, is skipped; what the broker turned away is still open.
 */
export type CloseOutcome =
  | {
      readonly kind: "closed";
      readonly stakeCents: number;
      /** What the broker paid for the position. */
      readonly returnCents: number;
      readonly closePriceMicros: number;
      /** Epoch milliseconds of the broker's clock. */
      readonly closedAtMs: number;
    }
  | { readonly kind: "rejected"; readonly stakeCents: number; readonly reason: RejectReason }
  | { readonly kind: "skipped"; readonly reason: SkipReason }
  | { readonly kind: "unknown"; readonly stakeCents: number };

export type OutcomeKind = Outcome["kind"];
export const OUTCOME_KINDS = ["placed", "rejected", "skipped", "unknown"] as const;

export type OutcomeCounts = Readonly<Record<OutcomeKind, number>>;

/** A position that was closed counts as placed: the broker did what the signal asked for. */
export function countOutcomes(outcomes: Iterable<Outcome | CloseOutcome>): OutcomeCounts {
  const counts = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  for (const { kind } of outcomes) counts[kind === "closed" ? "placed" : kind] += 1;
  return counts;
}
