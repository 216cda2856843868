/**
 * Signal + follower + what is known now → a copy that is sent, skipped with its
 * reason, or only asked about. Nothing else decides who is skipped. Pure: the
 * same inputs decide the same.
 */
import {
  brokerSymbol,
  copiedContract,
  isCapped,
  oldestAtMs,
  stakeOf,
  type CopyPlan,
} from "./plan.ts";
import { clientOrderId, type AccountId, type PersonId, type SubscriptionId } from "../ids.ts";
import type { Copy, CopyState, Reservation } from "./copy.ts";
import type { OrderTerms } from "./order.ts";
import type { SkipReason } from "./outcome.ts";
import type { AcceptedOpen } from "./signal.ts";
import type { SubscriptionState } from "./subscription.ts";
import { brokenCap, dayOf, parseUsage } from "./caps.ts";

/** What the roster knows of a subscription. */
export interface Follower {
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly follower: PersonId;
  readonly state: SubscriptionState;
  readonly expiresAtMs: number;
  readonly plan: CopyPlan;
  /** Nothing else of it than who it is can be relied on. */
  readonly isUnreadable?: true;
}

export type StopReason = "HALTED" | "DRAINED";

/** Which of a job's copies a halt or a drain stops. */
export interface Stops {
  /** All of them. */
  readonly all?: StopReason | undefined;
  /** Those of single followers. */
  readonly followers?: ReadonlyMap<PersonId, StopReason>;
}

/** What else a decision may rest on; only what some plan asks for is there. */
export interface Facts {
  readonly nowMs: number;
  /** Absent where nothing is stopped. */
  readonly stops?: Stops | undefined;
  /** What is free in each account. */
  readonly balances?: ReadonlyMap<AccountId, number>;
  /** What a win pays, by the broker's name of the symbol. */
  readonly payoutsBp?: ReadonlyMap<string, number>;
  /** Packed usage of followers with caps. */
  readonly usages?: ReadonlyMap<SubscriptionId, string>;
  /** Whose accounts have as many orders unanswered as the broker takes. */
  readonly atCapacity?: ReadonlySet<SubscriptionId>;
  /** Of whom no order may leave, by a fault of ours: the job counts them, and the roster lost them. */
  readonly faulty?: ReadonlySet<SubscriptionId> | "all";
  /**
   * The order may already have been sent, on facts that are lost, so today's facts
   * must not skip it. It still counts toward caps.
   */
  readonly maybeSent?: boolean;
}

const PAUSED_BY = {
  platform: "PLATFORM_PAUSED",
  provider: "PROVIDER_PAUSED",
  channel: "CHANNEL_PAUSED",
  follower: "FOLLOWER_PAUSED",
} as const;

export function decide(signal: AcceptedOpen, follower: Follower, facts: Facts): Copy {
  const { plan, subscription, account } = follower;
  if (isFaulty(follower, facts)) {
    return makeCopy(signal, follower, facts, signal.stakeCents, "FAULT");
  }
  const balanceCents = facts.balances?.get(account);
  const stakeCents = plan.sizing
    ? stakeOf(plan, plan.sizing, signal.stakeCents, balanceCents ?? 0)
    : 0;
  const before = facts.usages?.get(subscription) ?? "";
  const usage = isCapped(plan) ? parseUsage(before) : undefined;
  const day = dayOf(facts.nowMs);
  const reason =
    ownReason(signal, follower, facts.nowMs) ??
    payoutReason(signal, plan, facts) ??
    sizeReason(plan, stakeCents, balanceCents) ??
    (usage && brokenCap(plan, usage, stakeCents, day)) ??
    (facts.atCapacity?.has(subscription) === true ? "ACCOUNT_BUSY" : undefined) ??
    (facts.stops && stopReason(facts.stops, follower.follower));
  if (reason !== undefined && facts.maybeSent !== true) {
    return makeCopy(signal, follower, facts, stakeCents, reason);
  }
  const reservation = usage && { before, day };
  return makeCopy(signal, follower, facts, stakeCents, reason, termsOf(signal, plan), reservation);
}

/** What stops a follower's copies: a halt is stronger than a drain, whichever of them is for all. */
export function stopReason(
  { all, followers }: Stops,
  follower: PersonId | undefined,
): StopReason | undefined {
  if (all === "HALTED" || !followers || follower === undefined) return all;
  return followers.get(follower) ?? all;
}

function isFaulty({ subscription, isUnreadable }: Follower, { faulty }: Facts): boolean {
  return isUnreadable === true || faulty === "all" || faulty?.has(subscription) === true;
}

function makeCopy(
  signal: AcceptedOpen,
  { subscription, account, follower }: Follower,
  { maybeSent }: Facts,
  stakeCents: number,
  reason?: SkipReason,
  terms?: OrderTerms,
  reservation?: Reservation,
): Copy {
  let state: CopyState = "unsent";
  if (maybeSent === true) state = reason === undefined ? "maybe-sent" : "ask-only";
  else if (reason !== undefined) state = "skipped";
  return {
    clientOrderId: clientOrderId(signal.id, subscription),
    subscription,
    account,
    stakeCents,
    follower,
    terms,
    isReserved: reservation !== undefined,
    reservation,
    state,
    reason,
    outcome: reason !== undefined && state === "skipped" ? { kind: "skipped", reason } : undefined,
  };
}

/** Reasons that do not depend on the size of the copy. */
function ownReason(
  signal: AcceptedOpen,
  { state, expiresAtMs, plan }: Follower,
  nowMs: number,
): SkipReason | undefined {
  if (state === "left") return "LEFT";
  if (state === "paused") return "PAUSED";
  if (plan.pausedBy !== undefined) return PAUSED_BY[plan.pausedBy];
  if (expiresAtMs <= nowMs) return "EXPIRED";
  if (plan.symbols && !plan.symbols.includes(signal.symbol)) return "SYMBOL_NOT_ALLOWED";
  if (plan.deniedSymbols?.includes(signal.symbol) === true) return "SYMBOL_DENIED";
  if (nowMs > signal.deadlineMs) return "TOO_LATE";
  const oldest = oldestAtMs(plan, signal);
  return oldest !== undefined && nowMs > oldest ? "TOO_OLD" : undefined;
}

function payoutReason(
  signal: AcceptedOpen,
  plan: CopyPlan,
  { payoutsBp }: Facts,
): SkipReason | undefined {
  if (plan.minPayoutBp === undefined) return undefined;
  const payoutBp = payoutsBp?.get(brokerSymbol(plan, signal.symbol));
  if (payoutBp === undefined) return "PAYOUT_UNKNOWN";
  return payoutBp < plan.minPayoutBp ? "PAYOUT_TOO_LOW" : undefined;
}

function sizeReason(
  { sizing }: CopyPlan,
  stakeCents: number,
  balanceCents: number | undefined,
): SkipReason | undefined {
  if (!sizing) return "NOT_SIZED";
  if (sizing.kind === "balance" && balanceCents === undefined) return "BALANCE_UNKNOWN";
  return stakeCents < 1 ? "STAKE_TOO_SMALL" : undefined;
}

/** Only what differs from the signal: most copies are on its own terms. */
function termsOf(signal: AcceptedOpen, plan: CopyPlan): OrderTerms | undefined {
  const symbol = brokerSymbol(plan, signal.symbol);
  const contract = copiedContract(plan, signal.contract);
  const oldest = oldestAtMs(plan, signal);
  const shorter = oldest !== undefined && oldest < signal.deadlineMs;
  if (symbol === signal.symbol && contract === signal.contract && !shorter) return undefined;
  return {
    ...(symbol === signal.symbol ? {} : { symbol }),
    ...(contract === signal.contract ? {} : { contract }),
    ...(shorter ? { validUntilMs: oldest } : {}),
  };
}
