/**
 * The order of service of a signal, and how evenly it is spread over many signals (P8). In each
 * signal every follower has a rank: 0 for who is served first, 1 for who is served last. Over many
 * signals a fair order gives everyone the same mean rank, one half; a fixed order gives each
 * follower their own rank again and again.
 */
import type { SubscriptionId } from "../ids.ts";

const GOLDEN_SECTION = (Math.sqrt(5) - 1) / 2;

/**
 * P8: who is served first changes with each signal of a channel. It starts a golden section further
 * each time, so that the starts lie evenly after any number of signals; A start one place further
 * each time would need as many signals as there are items for one round.
 */
export function rotate<T>(items: readonly T[], by: number): T[] {
  const start = Math.floor(((by * GOLDEN_SECTION) % 1) * items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

export interface FollowerRanks {
  readonly subscription: SubscriptionId;
  readonly signals: number;
  /** 0 always first, 1 always last. */
  readonly meanRank: number;
  /**
   * The standard deviation of the ranks: 0 if the rank is the same each time, 0.29 if all ranks are
   * equally frequent.
   */
  readonly spread: number;
}

export interface Fairness {
  readonly followers: readonly FollowerRanks[];
  /**
   * The standard deviation of the followers' mean ranks, as a share of that of a fixed order: 1 if
   * the order never changes, near 0 if it evens out.
   */
  readonly dispersion: number;
}

/** The standard deviation of ranks that are spread evenly between 0 and 1. */
const UNIFORM = 1 / Math.sqrt(12);

/**
 * The followers of one signal in the order in which they were served; followers in one inner list
 * were served at the same moment.
 */
export type Served = readonly (SubscriptionId | readonly SubscriptionId[])[];

export function fairnessOf(signals: Iterable<Served>): Fairness {
  const sums = new Map<SubscriptionId, { count: number; sum: number; squares: number }>();
  for (const served of signals) {
    for (const [subscription, rank] of rankFollowers(served)) {
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

/** Those who were served at the same moment share the mean of their ranks. */
function* rankFollowers(served: Served): Iterable<[SubscriptionId, number]> {
  const groups = served.map((each) => (typeof each === "string" ? [each] : each));
  const last = groups.reduce((sum, group) => sum + group.length, 0) - 1;
  let before = 0;
  for (const group of groups) {
    const rank = last < 1 ? 0.5 : (before + (group.length - 1) / 2) / last;
    for (const subscription of group) yield [subscription, rank];
    before += group.length;
  }
}

function deviation(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  return Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length);
}
