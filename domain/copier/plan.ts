/**
 * How a follower wants a channel's signals copied into one account: the size of a copy, and
 * everything that may make it smaller or keep it from being sent. Symbols are the channel's own
 * names, except for the values of `symbolMap`, which are the broker's names.
 */
import { MAX_AMOUNT_CENTS, shareOf } from "../money.ts";
import type { AcceptedOpen } from "./signal.ts";
import type { ContractType } from "../products/binary.ts";
import { own } from "../own.ts";

export type Sizing =
  | { readonly kind: "fixed"; readonly stakeCents: number }
  /** The provider's stake times `multiplierBp` / 10,000. */
  | { readonly kind: "multiplier"; readonly multiplierBp: number }
  /** `shareBp` / 10,000 of the account's free balance right before the decision. */
  | { readonly kind: "balance"; readonly shareBp: number };

/** Who paused, from the widest to the narrowest; a subscription's own pause is its state. */
export const PAUSE_SCOPES = ["platform", "provider", "channel", "follower"] as const;
export type PauseScope = (typeof PAUSE_SCOPES)[number];

/** An absent field does not limit or change anything. */
export interface CopyPlan {
  /** Absent only if neither the follower nor a scope above sets it: then nothing is staked. */
  readonly sizing?: Sizing;
  /** A stake above this is reduced to it. */
  readonly maxStakeCents?: number;
  /** All stakes of a UTC day together; a copy that would exceed it is not sent. */
  readonly maxDayStakeCents?: number;
  /** Positions open at once. */
  readonly maxOpen?: number;
  /** On a UTC day whose settled copies have lost this much in total, nothing more is sent. */
  readonly maxDayLossCents?: number;
  /** Only these symbols are copied. */
  readonly symbols?: readonly string[];
  /** These are never copied, even if `symbols` lists them. */
  readonly deniedSymbols?: readonly string[];
  /**
   * The channel's name of a symbol → the broker's. A symbol that is not listed has the same name at
   * both.
   */
  readonly symbolMap?: Readonly<Record<string, string>>;
  /** Copies CALL as PUT and PUT as CALL. */
  readonly reverse?: boolean;
  /** The least that a win must pay on top of its stake. */
  readonly minPayoutBp?: number;
  /** How long after its acceptance a signal is still copied. */
  readonly maxAgeMs?: number;
  /** The same as a share of the signal's duration. */
  readonly maxAgeShareBp?: number;
  /** Set by a scope above, never by a follower. */
  readonly pausedBy?: PauseScope;
}

/** Whether copies under this plan are counted, day by day and open at once. */
export function isCapped({ maxDayStakeCents, maxOpen, maxDayLossCents }: CopyPlan): boolean {
  return maxDayStakeCents !== undefined || maxOpen !== undefined || maxDayLossCents !== undefined;
}

/**
 * The stake in minor units, rounded down and within every limit of a single order; 0 when the plan
 * leaves nothing to stake.
 */
export function stakeOf(
  { maxStakeCents }: CopyPlan,
  sizing: Sizing,
  providerStakeCents: number,
  balanceCents: number,
): number {
  const wanted = computeWanted(sizing, providerStakeCents, balanceCents);
  return Math.min(wanted, maxStakeCents ?? wanted, MAX_AMOUNT_CENTS);
}

function computeWanted(sizing: Sizing, providerStakeCents: number, balanceCents: number): number {
  if (sizing.kind === "fixed") return sizing.stakeCents;
  return sizing.kind === "multiplier"
    ? shareOf(providerStakeCents, sizing.multiplierBp)
    : shareOf(balanceCents, sizing.shareBp);
}

/** What the broker calls the symbol. */
export function brokerSymbol({ symbolMap }: CopyPlan, symbol: string): string {
  return (symbolMap && own(symbolMap, symbol)) ?? symbol;
}

export function copiedContract({ reverse }: CopyPlan, contract: ContractType): ContractType {
  if (reverse !== true) return contract;
  return contract === "CALL" ? "PUT" : "CALL";
}

/** The last millisecond at which the plan still copies the signal; undefined if it sets no age. */
export function oldestAtMs(
  { maxAgeMs, maxAgeShareBp }: CopyPlan,
  { acceptedAtMs, durationSeconds }: AcceptedOpen,
): number | undefined {
  if (maxAgeMs === undefined && maxAgeShareBp === undefined) return undefined;
  const share =
    maxAgeShareBp === undefined
      ? Number.POSITIVE_INFINITY
      : shareOf(durationSeconds * 1_000, maxAgeShareBp);
  return acceptedAtMs + Math.min(maxAgeMs ?? Number.POSITIVE_INFINITY, share);
}
