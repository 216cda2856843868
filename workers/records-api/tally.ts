/** What became of a signal's copies, added up from their orders. */
import { OUTCOME_KINDS, type OutcomeCounts, type OutcomeKind } from "../../domain/outcome.ts";
import type { SettlementKind } from "../../domain/contract.ts";
import type { Group, Records } from "../records/port.ts";

export interface Results {
  /** Placed and not settled yet. */
  readonly open: number;
  readonly won: number;
  readonly lost: number;
  readonly void: number;
  /** Of all that were placed. */
  readonly stakeCents: number;
  readonly returnCents: number;
}

export interface Tally {
  readonly counts: OutcomeCounts;
  readonly results: Results;
  /** Epoch milliseconds of a broker's first and last answer. */
  readonly answered: { readonly min: number; readonly max: number } | null;
}

export async function tallySignals(
  { orders }: Records,
  signals: readonly string[],
): Promise<Map<string, Tally>> {
  const groups = await orders.group({
    where: { signal: signals },
    by: ["signal", "outcome", "settlement"],
    sum: ["stakeCents", "returnCents"],
    bounds: ["answeredAtMs"],
  });
  const bySignal = Map.groupBy(groups, ({ key }) => String(key.signal));
  return new Map(signals.map((signal) => [signal, tallyOf(bySignal.get(signal) ?? [])]));
}

type Outcomes = Group<
  "signal" | "outcome" | "settlement",
  "stakeCents" | "returnCents",
  "answeredAtMs"
>;

function tallyOf(groups: readonly Outcomes[]): Tally {
  const counts = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  const results = { open: 0, won: 0, lost: 0, void: 0, stakeCents: 0, returnCents: 0 };
  const answers: number[] = [];
  for (const { key, count, sums, bounds } of groups) {
    // A settlement may be recorded before its order's outcome: it waits for that.
    if (!OUTCOME_KINDS.includes(key.outcome as never)) continue;
    const outcome = key.outcome as OutcomeKind;
    counts[outcome] += count;
    const at = bounds.answeredAtMs;
    if (at && (outcome === "placed" || outcome === "rejected")) {
      answers.push(at.min, at.max);
    }
    if (outcome !== "placed") continue;
    results[key.settlement === null ? "open" : (key.settlement as SettlementKind)] += count;
    results.stakeCents += sums.stakeCents;
    results.returnCents += sums.returnCents;
  }
  const answered =
    answers.length === 0 ? null : { min: Math.min(...answers), max: Math.max(...answers) };
  return { counts, results, answered };
}
