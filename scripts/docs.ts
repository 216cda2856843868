/**
 * `npm run docs` writes `docs/failure-modes.md` from the tables of the domain:
 * what can go wrong has one home, and the page cannot fall behind it.
 */
import { DESK_REFUSALS } from "../domain/desk/refusals.ts";
import { ERRORS } from "../domain/error-codes.ts";
import { REJECT_REASONS, SKIP_REASONS } from "../domain/copier/outcome.ts";

export const FAILURE_MODES_PATH = "docs/failure-modes.md";

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function reasons(
  texts: Readonly<Record<string, string>>,
  told = "what the follower is told",
): string {
  return table(
    ["reason", told],
    Object.entries(texts).map(([reason, text]) => [`\`${reason}\``, text]),
  );
}

export function failureModes(): string {
  return `# Failure modes

Written by \`npm run docs\` from \`domain/error-codes.ts\`, \`domain/copier/outcome.ts\` and
\`domain/desk/refusals.ts\`; change those.

## What a caller can be told

Every refusal is an \`application/problem+json\` document (RFC 9457). Its \`code\` is stable, its
\`detail\` says what to do, and \`faults\`, where there are any, name the fields. Neither ever repeats
what was sent. Nothing is enqueued for a signal that was refused.

${table(
  ["code", "status", "what it means", "what to do"],
  Object.entries(ERRORS).map(([code, { status, title, action }]) => [
    `\`${code}\``,
    String(status),
    title,
    action,
  ]),
)}

## Why a copy was skipped

A skipped copy was never sent to a broker.

${reasons(SKIP_REASONS)}

## Why a copy was rejected

A rejected copy was sent, and the broker said no.

${reasons(REJECT_REASONS)}

## Why the desk refused a command

The \`code\` of a reply line whose \`ok\` is false ([DESK.md](DESK.md)). Each is in the audit as an
errorEvent, save \`OUTCOME_UNKNOWN\`, of which nobody knows.

${reasons(DESK_REFUSALS, "what the sender is told")}

## When a copy is unknown

The order was sent and no answer came that can be trusted: the broker may or may not have booked it.
Such an order is never sent again blindly. It is asked about until the broker tells, and then moves to
placed, rejected or skipped; until then it is counted, and shown, as unknown.
`;
}

if (import.meta.main) await Bun.write(FAILURE_MODES_PATH, failureModes());
