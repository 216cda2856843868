/** Plan + signal + now → an order, or a skip with its reason. Pure: the same inputs decide the same. */
import { stakeOf, type CopyPlan } from "./copy-plan.ts";
import { clientOrderId, type AccountId, type SubscriptionId } from "./ids.ts";
import type { Order } from "./order.ts";
import type { SkipReason } from "./outcome.ts";
import type { AcceptedSignal } from "./signal.ts";
import type { SubscriptionState } from "./subscription.ts";

/** What the roster knows of a subscription. */
export interface Follower {
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly state: SubscriptionState;
  readonly expiresAtMs: number;
  readonly plan: CopyPlan;
}

export type Decision =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "skip"; readonly reason: SkipReason };

export function decide(signal: AcceptedSignal, follower: Follower, nowMs: number): Decision {
  const reason = skipReason(signal, follower, nowMs);
  if (reason !== undefined) return { kind: "skip", reason };
  const stakeCents = stakeOf(follower.plan, signal.stakeCents);
  if (stakeCents < 1) return { kind: "skip", reason: "STAKE_TOO_SMALL" };
  return {
    kind: "order",
    order: {
      clientOrderId: clientOrderId(signal.id, follower.subscription),
      subscription: follower.subscription,
      account: follower.account,
      stakeCents,
    },
  };
}

function skipReason(
  signal: AcceptedSignal,
  follower: Follower,
  nowMs: number,
): SkipReason | undefined {
  if (follower.state === "left") return "LEFT";
  if (follower.state === "paused") return "PAUSED";
  if (follower.expiresAtMs <= nowMs) return "EXPIRED";
  if (follower.plan.symbols && !follower.plan.symbols.includes(signal.symbol)) {
    return "SYMBOL_NOT_ALLOWED";
  }
  if (nowMs > signal.deadlineMs) return "TOO_LATE";
  return undefined;
}
