/** The report of a run, as text and as figures. */
import type { Driven } from "./drive.ts";
import { Latencies } from "./latencies.ts";

/** The figures that `--json` writes. */
export interface Figures {
  /** Replies, divided by the time until the last reply had come and the audit was drained. */
  readonly transactionsPerSecond: number;
  readonly replies: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** For the commands that need no quote. */
  readonly p99UnquotedMs: number;
  /** From the last reply until all of the audit was in its store. */
  readonly auditDrainedS: number;
}

export function computeFigures({ tally, seconds }: Driven, auditDrainedS: number): Figures {
  const latencies = Latencies.of(tally.quoted, tally.unquoted);
  return {
    transactionsPerSecond: Math.round(tally.answered / (seconds + auditDrainedS)),
    replies: tally.answered,
    errors: tally.refused,
    p50Ms: rounded(latencies.quantileMs(0.5)),
    p99Ms: rounded(latencies.quantileMs(0.99)),
    p99UnquotedMs: rounded(tally.unquoted.quantileMs(0.99)),
    auditDrainedS: rounded(auditDrainedS),
  };
}

export function formatReport(driven: Driven, auditDrainedS: number): string {
  const { tally, seconds, users } = driven;
  const { transactionsPerSecond, p50Ms, p99Ms, p99UnquotedMs } = computeFigures(
    driven,
    auditDrainedS,
  );
  const commands = [...tally.commands].sort(([a], [b]) => (a < b ? -1 : 1));
  const refusals = [...tally.refusals].sort(([, a], [, b]) => b - a);
  const overall = Math.round(tally.answered / seconds);
  return [
    table(
      ["command", "replies", "errors"],
      [
        ...commands.map(([name, { answered, refused }]) => [
          name,
          formatCount(answered),
          formatCount(refused),
        ]),
        ["all", formatCount(tally.answered), formatCount(tally.refused)],
      ],
    ),
    ...(refusals.length === 0
      ? []
      : [
          "",
          table(
            ["error", "times"],
            refusals.map(([code, times]) => [code, formatCount(times)]),
          ),
        ]),
    "",
    `users              ${formatCount(users.size)}`,
    `replies            in ${seconds.toFixed(2)} s, ${formatCount(overall)} a second`,
    `audit drained      ${auditDrainedS.toFixed(2)} s after the last reply`,
    `transactions/s     ${formatCount(transactionsPerSecond)} (replies received and audit drained)`,
    `latency            p50 ${p50Ms} ms, p99 ${p99Ms} ms`,
    `  without a quote  p50 ${rounded(tally.unquoted.quantileMs(0.5))} ms, p99 ${p99UnquotedMs} ms`,
  ].join("\n");
}

/** The first column has text, the others numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  "),
    )
    .join("\n");
}

function formatCount(value: number): string {
  return value.toLocaleString("en");
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
