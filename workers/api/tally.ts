/** The results of a signal's copies, added up from their orders. */
import {
  OUTCOME_KINDS,
  type OutcomeCounts,
  type OutcomeKind,
} from "../../domain/copier/outcome.ts";
import type { Results } from "../../domain/copier/progress.ts";
import type { SettlementKind } from "../../domain/products/binary.ts";
import type { Group, Records, SignalRecord } from "../records/port.ts";

export interface Tally {
  readonly counts: OutcomeCounts;
  readonly results: Results;
  /** Epoch milliseconds of a broker's first and last answer. */
  readonly answered: { readonly min: number; readonly max: number } | null;
}

export type Tallies = (signals: readonly Counted[]) => Promise<Map<string, Tally>>;
type Counted = Pick<SignalRecord, "_id" | "followers">;

/** How many final tallies are cached. */
const MAX_KEPT = 1_000;

export function createTallies({ orders }: Pick<Records, "orders">): Tallies {
  const kept = new Map<string, Tally>();
  return async (signals) => {
    const asked = signals.map(({ _id }) => _id).filter((id) => !kept.has(id));
    const groups = await orders.group({
      where: { signal: asked },
      by: ["signal", "outcome", "settlement"],
      sum: ["stakeCents", "returnCents"],
      bounds: ["answeredAtMs"],
    });
    const bySignal = Map.groupBy(groups, ({ key }) => String(key.signal));
    const tallies = new Map<string, Tally>();
    for (const { _id, followers } of signals) {
      const tally = kept.get(_id) ?? sumOutcomes(bySignal.get(_id) ?? []);
      tallies.set(_id, tally);
      if (isFinal(tally, followers)) kept.set(_id, tally);
    }
    for (const oldest of kept.keys()) {
      if (kept.size <= MAX_KEPT) break;
      kept.delete(oldest);
    }
    return tallies;
  };
}

/** Every copy has a certain outcome, and every placed copy is settled. */
function isFinal({ counts, results }: Tally, followers: number): boolean {
  const certain = counts.placed + counts.rejected + counts.skipped;
  return certain === followers && counts.unknown === 0 && results.open === 0;
}

type Outcomes = Group<
  "signal" | "outcome" | "settlement",
  "stakeCents" | "returnCents",
  "answeredAtMs"
>;

function sumOutcomes(groups: readonly Outcomes[]): Tally {
  const counts = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  const results = {
    open: 0,
    won: 0,
    lost: 0,
    void: 0,
    sold: 0,
    closed: 0,
    stakeCents: 0,
    returnCents: 0,
  };
  const answers: number[] = [];
  for (const { key, count, sums, bounds } of groups) {
    // A settlement may be recorded before its order's outcome; then it waits for the outcome.
    const isClosed = key.outcome === "closed";
    const outcome = (isClosed ? "placed" : key.outcome) as OutcomeKind;
    if (!OUTCOME_KINDS.includes(outcome)) continue;
    counts[outcome] += count;
    const at = bounds.answeredAtMs;
    if (at && (outcome === "placed" || outcome === "rejected")) {
      answers.push(at.min, at.max);
    }
    if (outcome !== "placed") continue;
    const standing = key.settlement === null ? "open" : (key.settlement as SettlementKind);
    results[isClosed ? "closed" : standing] += count;
    results.stakeCents += sums.stakeCents;
    results.returnCents += sums.returnCents;
  }
  const answered =
    answers.length === 0 ? null : { min: Math.min(...answers), max: Math.max(...answers) };
  return { counts, results, answered };
}
