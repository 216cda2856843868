/**
 * The audit as XML, in the schema that day-trading systems exchange. What the schema
 * cannot express is omitted: names that are no commands, symbols of more than three
 * letters, servers that started and stopped.
 */
import { DESK_COMMANDS } from "../../../domain/desk/command.ts";
import { DESK_REFUSALS } from "../../../domain/desk/refusals.ts";
import { formatCents } from "../../../domain/money.ts";
import { eventsOf, parseAuditEntry, type AuditEvent } from "../stored/audit.ts";
import type { StoredEntry } from "../audit/port.ts";

export const LOG_HEAD = '<?xml version="1.0"?>\n<log>\n';
export const LOG_TAIL = "</log>\n";

const NAMES: ReadonlySet<string> = new Set(DESK_COMMANDS);
const MAX_SYMBOL = 3;

type Pairs = readonly (readonly [name: string, value: string | number])[];

/** The log lines of an entry: for one user, or for all users. */
export function logOf({ fields }: StoredEntry, user?: string): string {
  const entry = parseAuditEntry(fields);
  if (!entry) return "";
  let text = "";
  for (const event of eventsOf(entry)) {
    if (user === undefined || event.user === user) text += listElements(event, entry);
  }
  return text;
}

function listElements(
  event: AuditEvent,
  at: { readonly atMs: number; readonly server: string },
): string {
  const head: Pairs = [
    ["timestamp", at.atMs],
    ["server", at.server],
    ["transactionNum", event.transaction],
  ];
  const moved = "movedCents" in event ? movements(event.user, event.movedCents, head) : "";
  switch (event.kind) {
    case "command": {
      if (!NAMES.has(event.name)) return "";
      const said = [...head, ...commandPairs(event)];
      const error = event.refusal === "" ? "" : writeError(said, DESK_REFUSALS[event.refusal]);
      return element("userCommand", said) + moved + error;
    }
    case "quote":
      if (event.symbol.length > MAX_SYMBOL) return "";
      return element("quoteServer", [
        ...head,
        ["price", formatCents(event.priceCents)],
        ["stockSymbol", event.symbol],
        ["username", event.user],
        ["quoteServerTime", event.sourceTimeMs],
        ["cryptokey", event.cryptokey],
      ]);
    case "fired":
      return (
        element("systemEvent", [
          ...head,
          ["command", event.name],
          ["username", event.user],
          ["stockSymbol", event.symbol],
          ["funds", formatCents(event.priceCents)],
        ]) + moved
      );
    case "account":
      return moved;
    case "system":
      break;
  }
  return "";
}

function commandPairs(event: Extract<AuditEvent, { kind: "command" }>): Pairs {
  const { name, user, symbol, cents, file } = event;
  return [
    ["command", name],
    ...(user === "" ? [] : [["username", user] as const]),
    ...(symbol === "" ? [] : [["stockSymbol", symbol] as const]),
    ...(file === "" ? [] : [["filename", file] as const]),
    ...(cents === 0 ? [] : [["funds", formatCents(cents)] as const]),
  ];
}

function writeError(said: Pairs, message: string): string {
  return element("errorEvent", [...said, ["errorMessage", message]]);
}

function movements(user: string, movedCents: readonly number[], head: Pairs): string {
  return movedCents
    .map((cents) =>
      element("accountTransaction", [
        ...head,
        ["action", cents < 0 ? "remove" : "add"],
        ["username", user],
        ["funds", formatCents(Math.abs(cents))],
      ]),
    )
    .join("");
}

function element(name: string, pairs: Pairs): string {
  let text = `  <${name}>\n`;
  for (const [child, value] of pairs) text += `    <${child}>${escaped(value)}</${child}>\n`;
  return `${text}  </${name}>\n`;
}

function escaped(value: string | number): string | number {
  if (typeof value === "number" || !/[<>&]/.test(value)) return value;
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
