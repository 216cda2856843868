/** Plan + signal + what is known now → an order, or a skip with its reason. Pure: the same inputs decide the same. */
import {
  brokerSymbol,
  copiedContract,
  isCapped,
  oldestAtMs,
  stakeOf,
  type CopyPlan,
} from "./plan.ts";
import { clientOrderId, type AccountId, type SubscriptionId } from "../ids.ts";
import type { Order, OrderTerms } from "./order.ts";
import type { SkipReason } from "./outcome.ts";
import type { AcceptedOpen } from "./signal.ts";
import type { SubscriptionState } from "./subscription.ts";
import { brokenCap, dayOf, parseUsage } from "./caps.ts";

/** What the roster knows of a subscription. */
export interface Follower {
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly state: SubscriptionState;
  readonly expiresAtMs: number;
  readonly plan: CopyPlan;
}

/** What else a decision may rest on; only what some plan asks for is there. */
export interface Facts {
  readonly nowMs: number;
  /** What is free in each account. */
  readonly balances?: ReadonlyMap<AccountId, number>;
  /** What a win pays, by the broker's name of the symbol. */
  readonly payoutsBp?: ReadonlyMap<string, number>;
  /** Packed usage of followers with caps. */
  readonly usages?: ReadonlyMap<SubscriptionId, string>;
  /** Whose accounts have as many orders unanswered as the broker takes. */
  readonly crowded?: ReadonlySet<SubscriptionId>;
  /**
   * The order may have been sent already, on facts that are lost: nothing of
   * now makes it unsent, so nobody is skipped, and it counts all the same.
   */
  readonly maybeSent?: boolean;
}

/** The order counts in its follower's usage, and is void unless that is still `before` when it is written. */
export interface Reservation {
  readonly before: string;
  /** The UTC day of the decision: the stake counts on it, or on that of the usage if it is later. */
  readonly day: number;
}

export type Decision =
  | {
      readonly kind: "order";
      readonly order: Order;
      /** Absent where the order is on the signal's own terms. */
      readonly terms?: OrderTerms;
      /** Absent where the follower has no caps. */
      readonly reservation?: Reservation;
      /**
       * Why it would be skipped, were it not maybe sent: the broker is only
       * asked about it, and what was never opened is told as skipped for this.
       */
      readonly askOnly?: SkipReason;
    }
  | { readonly kind: "skip"; readonly reason: SkipReason };

const PAUSED_BY = {
  platform: "PLATFORM_PAUSED",
  provider: "PROVIDER_PAUSED",
  channel: "CHANNEL_PAUSED",
  follower: "FOLLOWER_PAUSED",
} as const;

export function decide(signal: AcceptedOpen, follower: Follower, facts: Facts): Decision {
  const { plan, subscription, account } = follower;
  const balanceCents = facts.balances?.get(account);
  const stakeCents = plan.sizing
    ? stakeOf(plan, plan.sizing, signal.stakeCents, balanceCents ?? 0)
    : 0;
  const before = facts.usages?.get(subscription) ?? "";
  const usage = isCapped(plan) ? parseUsage(before) : undefined;
  const day = dayOf(facts.nowMs);
  const reason =
    standingReason(signal, follower, facts.nowMs) ??
    payoutReason(signal, plan, facts) ??
    sizeReason(plan, stakeCents, balanceCents) ??
    (usage && brokenCap(plan, usage, stakeCents, day)) ??
    (facts.crowded?.has(subscription) === true ? "ACCOUNT_BUSY" : undefined);
  if (reason !== undefined && facts.maybeSent !== true) return skip(reason);

  const order = {
    clientOrderId: clientOrderId(signal.id, subscription),
    subscription,
    account,
    stakeCents,
  };
  const terms = termsOf(signal, plan);
  // Most copies: nothing but the order.
  if (!terms && !usage && reason === undefined) return { kind: "order", order };
  return {
    kind: "order",
    order,
    ...(terms ? { terms } : {}),
    ...(usage ? { reservation: { before, day } } : {}),
    ...(reason === undefined ? {} : { askOnly: reason }),
  };
}

function skip(reason: SkipReason): Decision {
  return { kind: "skip", reason };
}

/** What holds whatever the copy would be. */
function standingReason(
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
