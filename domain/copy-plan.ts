/** How a follower wants a channel's signals copied into one account. */
import { shareOf } from "./money.ts";

export type Sizing =
  | { readonly kind: "fixed"; readonly stakeCents: number }
  /** The provider's stake times `multiplierBp` / 10,000. */
  | { readonly kind: "multiplier"; readonly multiplierBp: number };

export interface CopyPlan {
  readonly sizing: Sizing;
  /** A stake above this is cut down to it. */
  readonly maxStakeCents?: number;
  /** Only these symbols are copied; absent means all. */
  readonly symbols?: readonly string[];
}

/** The stake in minor units, rounded down; 0 when the plan leaves nothing to stake. */
export function stakeOf(plan: CopyPlan, providerStakeCents: number): number {
  const wanted =
    plan.sizing.kind === "fixed"
      ? plan.sizing.stakeCents
      : shareOf(providerStakeCents, plan.sizing.multiplierBp);
  return Math.min(wanted, plan.maxStakeCents ?? wanted);
}
