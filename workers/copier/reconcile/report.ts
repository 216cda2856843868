/**
 * A reconciliation as a table for people: the most frequent kinds first, each with
 * its sentence.
 */
import { DIFFERENCES, type Difference, type DifferenceKind } from "./differences.ts";
import type { Reconciliation } from "./reconcile.ts";

/** At most this many lines of one kind, because one lost shard would fill the screen. */
const SHOWN = 10;

export function tableOf({ signals, followers, differences }: Reconciliation): string {
  const over = `${count(signals, "signal")}, ${count(followers, "follower")} compared`;
  if (differences.length === 0) return `${over}: no difference`;
  const lines = [`${over}: ${count(differences.length, "difference")}`];
  for (const [kind, some] of byKind(differences)) {
    lines.push("", `${kind} (${some.length}): ${DIFFERENCES[kind]}`);
    lines.push(...columns(some.slice(0, SHOWN).map(formatCells)));
    if (some.length > SHOWN) lines.push(`  … and ${some.length - SHOWN} more`);
  }
  return lines.join("\n");
}

export function byKind(
  differences: readonly Difference[],
): Map<DifferenceKind, readonly Difference[]> {
  return Map.groupBy(differences, ({ kind }) => kind);
}

function formatCells({ channel, signal, subscription, detail }: Difference): string[] {
  return [channel ?? "-", signal ?? "-", subscription ?? "-", detail];
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) => {
    const cells = row.map((cell, at) => cell.padEnd(widths[at] ?? 0));
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? "" : "s"}`;
}
