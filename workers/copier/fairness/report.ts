/**
 * How evenly a channel's followers were served over many signals, and which of
 * them were served worst.
 */
import { fairnessOf, type FollowerRanks } from "../../../domain/copier/fairness.ts";
import type { SubscriptionId } from "../../../domain/ids.ts";
import type { Service } from "./service.ts";

export interface FairnessReport {
  readonly signals: number;
  /** 1 if the order never changes, near 0 if it evens out: see `domain/copier/fairness.ts`. */
  readonly dispersion: number;
  /** Between the first and the last answer of a signal. */
  readonly spreadMs: { readonly median: number; readonly worst: number };
  /** Those who waited longest on average are first. */
  readonly followers: readonly (FollowerRanks & { readonly tooLate: number })[];
}

export function reportOf(services: readonly Service[]): FairnessReport {
  const { dispersion, followers } = fairnessOf(services.map(({ served }) => served));
  const late = new Map<SubscriptionId, number>();
  for (const id of services.flatMap(({ tooLate }) => tooLate))
    late.set(id, (late.get(id) ?? 0) + 1);
  const spreads = services.map(({ spreadMs }) => spreadMs).toSorted((a, b) => a - b);
  return {
    signals: services.length,
    dispersion,
    spreadMs: {
      median: spreads[Math.ceil(spreads.length / 2) - 1] ?? 0,
      worst: spreads.at(-1) ?? 0,
    },
    followers: followers
      .map((each) => ({ ...each, tooLate: late.get(each.subscription) ?? 0 }))
      .toSorted((a, b) => b.tooLate - a.tooLate || b.meanRank - a.meanRank),
  };
}

/** Lines for people, with this many of the followers who were served worst. */
export function textOf(report: FairnessReport, shown: number): string {
  const { signals, followers, dispersion, spreadMs } = report;
  const worst = followers
    .slice(0, shown)
    .map((each) => [
      each.subscription,
      String(each.signals),
      each.meanRank.toFixed(2),
      each.spread.toFixed(2),
      String(each.tooLate),
    ]);
  const head = ["served worst", "signals", "mean rank", "spread", "too late"];
  const widths = head.map((name, at) =>
    Math.max(name.length, ...worst.map((row) => row[at]?.length ?? 0)),
  );
  return [
    `${signals} signals, ${followers.length} followers`,
    `dispersion ${dispersion.toFixed(3)} (1: always the same order; near 0: it evens out)`,
    `first to last answer: median ${spreadMs.median} ms, worst ${spreadMs.worst} ms`,
    "",
    ...[head, ...worst].map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
  ].join("\n");
}
