/**
 * How evenly the turn of being served goes round (P8). In each signal every
 * follower has a rank: 0 for who is served first, 1 for who is served last.
 * Over many signals a fair order gives everyone the same mean rank, one half;
 * a fixed order gives each follower their own rank again and again.
 */
import type { SubscriptionId } from "./ids.ts";

export interface FollowerRanks {
  readonly subscription: SubscriptionId;
  readonly signals: number;
  /** 0 always first, 1 always last. */
  readonly meanRank: number;
  /** The standard deviation of the ranks: 0 where it is the same turn each time, 0.29 where all turns come alike. */
  readonly spread: number;
}

export interface Fairness {
  readonly followers: readonly FollowerRanks[];
  /**
   * The standard deviation of the followers' mean ranks, as a share of that of
   * a fixed order: 1 where the order never changes, near 0 where it evens out.
   */
  readonly dispersion: number;
}

/** The standard deviation of ranks that are spread evenly between 0 and 1. */
const UNIFORM = 1 / Math.sqrt(12);

/** Each signal as its followers in the order in which they were served. */
export function fairnessOf(signals: Iterable<readonly SubscriptionId[]>): Fairness {
  const sums = new Map<SubscriptionId, { count: number; sum: number; squares: number }>();
  for (const served of signals) {
    for (const [index, subscription] of served.entries()) {
      const rank = served.length < 2 ? 0.5 : index / (served.length - 1);
      const known = sums.get(subscription) ?? { count: 0, sum: 0, squares: 0 };
      known.count += 1;
      known.sum += rank;
      known.squares += rank * rank;
      sums.set(subscription, known);
    }
  }
  const followers = [...sums].map(([subscription, { count, sum, squares }]) => {
    const meanRank = sum / count;
    const spread = Math.sqrt(Math.max(0, squares / count - meanRank * meanRank));
    return { subscription, signals: count, meanRank, spread };
  });
  return { followers, dispersion: deviation(followers.map(({ meanRank }) => meanRank)) / UNIFORM };
}

function deviation(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  return Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length);
}
