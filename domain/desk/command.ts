/**
 * The desk's commands, and how a line becomes one. A line is `[n] COMMAND,argument,…`. The
 * `[n]` may be missing; a `$ ` before or after it and blanks at the end are allowed. Any
 * other line is refused with a code. The refusal includes what could be read, so that the
 * audit can show who sent what.
 */
import { formatCents, MAX_AMOUNT_CENTS } from "../money.ts";
import type { DeskRefusal } from "./refusals.ts";

/** The arguments of each command, in this order. */
const ARGUMENTS = {
  ADD: ["user", "cents"],
  QUOTE: ["user", "symbol"],
  BUY: ["user", "symbol", "cents"],
  COMMIT_BUY: ["user"],
  CANCEL_BUY: ["user"],
  SELL: ["user", "symbol", "cents"],
  COMMIT_SELL: ["user"],
  CANCEL_SELL: ["user"],
  SET_BUY_AMOUNT: ["user", "symbol", "cents"],
  SET_BUY_TRIGGER: ["user", "symbol", "cents"],
  CANCEL_SET_BUY: ["user", "symbol"],
  SET_SELL_AMOUNT: ["user", "symbol", "cents"],
  SET_SELL_TRIGGER: ["user", "symbol", "cents"],
  CANCEL_SET_SELL: ["user", "symbol"],
  /** Or the file alone: then the log is of all users. */
  DUMPLOG: ["user", "file"],
  DISPLAY_SUMMARY: ["user"],
} as const satisfies Record<string, readonly ("user" | "symbol" | "cents" | "file")[]>;

export type DeskCommandName = keyof typeof ARGUMENTS;
export const DESK_COMMANDS = Object.keys(ARGUMENTS) as readonly DeskCommandName[];

/** The commands that are executed at a quote. */
export const QUOTED_COMMANDS: ReadonlySet<DeskCommandName> = new Set([
  "QUOTE",
  "BUY",
  "SELL",
  "SET_BUY_TRIGGER",
  "SET_SELL_AMOUNT",
  "SET_SELL_TRIGGER",
]);

const CHANGES_NOTHING: ReadonlySet<DeskCommandName> = new Set([
  "QUOTE",
  "DUMPLOG",
  "DISPLAY_SUMMARY",
]);

/** All commands have one shape: a field that a command does not use is empty, or zero. */
export interface DeskCommand {
  readonly name: DeskCommandName;
  /** Empty for the log of all users. */
  readonly user: string;
  readonly symbol: string;
  /** An amount, or the price of a trigger. */
  readonly cents: number;
  readonly file: string;
}

export type DeskLine = { readonly n: number | null } & (
  | { readonly kind: "command"; readonly command: DeskCommand }
  | { readonly kind: "refused"; readonly code: DeskRefusal; readonly read: RefusedRead }
);

/**
 * What could be read of a refused line. The name may be unknown, but it looks like a
 * command's name.
 */
export type RefusedRead = Omit<DeskCommand, "name"> & { readonly name: string };

export const MAX_LINE_BYTES = 1_024;
export const DESK_USER_PATTERN = /^[A-Za-z0-9]{1,64}$/;
const SYMBOL = /^[A-Z]{1,3}$/;
const AMOUNT = /^(\d+)\.(\d\d)$/;
const FILE = /^(?:\.\/)?([A-Za-z0-9._-]{1,128})$/;
const LINE = /^(?:\$ )?(?:\[(\d{1,15})\] *)?(?:\$ )?(.*)$/s;
const LOOKS_LIKE_A_NAME = /^[A-Za-z_]{1,32}$/;
const NOT_TEXT = /[^\x20-\x7e]/;

/** Whether a line is blank, which is no error. */
export function isBlank(line: string): boolean {
  return /^[ \t\r]*$/.test(line);
}

export function parseDeskLine(line: string): DeskLine {
  const [, number, text = ""] = LINE.exec(withoutTrailingBlanks(line)) ?? [];
  const n = number === undefined ? null : Number(number);
  const parts = text.split(",");
  const first = parts[0] ?? "";
  const fields = {
    name: LOOKS_LIKE_A_NAME.test(first) ? first : "",
    user: "",
    symbol: "",
    cents: 0,
    file: "",
  };
  const refused = (code: DeskRefusal): DeskLine => ({ n, kind: "refused", code, read: fields });

  if (line.length > MAX_LINE_BYTES) return refused("LINE_TOO_LONG");
  if (NOT_TEXT.test(text)) return refused("LINE_NOT_TEXT");
  if (!Object.hasOwn(ARGUMENTS, first)) return refused("COMMAND_UNKNOWN");
  const name = first as DeskCommandName;
  const wanted = name === "DUMPLOG" && parts.length === 2 ? (["file"] as const) : ARGUMENTS[name];
  // As much as possible is read, so that the audit lists the error under its user.
  let code: DeskRefusal | undefined;
  for (const [index, kind] of wanted.entries()) {
    code ??= read(kind, parts[index + 1] ?? "", fields);
  }
  if (parts.length !== wanted.length + 1) return refused("ARGUMENTS_WRONG");
  return code === undefined ? { n, kind: "command", command: { ...fields, name } } : refused(code);
}

/**
 * Checks a line of a sender for one user. A line that names another user, or all users, is
 * refused and audited under the sender's own name: no sender can write into another user's
 * audit.
 */
export function spokenBy(user: string, line: DeskLine): DeskLine {
  const said = line.kind === "command" ? line.command : line.read;
  if (said.user === user) return line;
  const code = line.kind === "refused" && said.user === "" ? line.code : "USER_FORBIDDEN";
  return { n: line.n, kind: "refused", code, read: { ...said, user } };
}

/**
 * A person's desk user is their own id, if the desk accepts it as a name. So no two
 * persons share a desk user.
 */
export function deskUserOf(person: string): string | undefined {
  return DESK_USER_PATTERN.test(person) ? person : undefined;
}

/** Whether a line can be sent a second time without being executed twice. */
export function isRepeatable(line: DeskLine, session: string): boolean {
  return (
    line.kind === "refused" ||
    CHANGES_NOTHING.has(line.command.name) ||
    (session !== "" && line.n !== null)
  );
}

/** Writes a command as a line. A missing argument is left empty, and the desk refuses the line. */
export function formatDeskLine(n: number | null, command: DeskCommand): string {
  const words = ARGUMENTS[command.name].map((kind) =>
    kind === "cents" ? formatCents(command.cents) : command[kind],
  );
  return `${n === null ? "" : `[${n}] `}${[command.name, ...words].join(",")}`;
}

/** Stores an argument in its field, or returns the error in it. */
function read(
  kind: "user" | "symbol" | "cents" | "file",
  text: string,
  fields: { user: string; symbol: string; cents: number; file: string },
): DeskRefusal | undefined {
  if (kind === "user") {
    if (!DESK_USER_PATTERN.test(text)) return "USER_INVALID";
    fields.user = text;
  } else if (kind === "symbol") {
    if (!SYMBOL.test(text)) return "SYMBOL_INVALID";
    fields.symbol = text;
  } else if (kind === "cents") {
    const [, whole, hundredths] = AMOUNT.exec(text) ?? [];
    const cents = Number(whole) * 100 + Number(hundredths);
    if (!(cents > 0 && cents <= MAX_AMOUNT_CENTS)) return "AMOUNT_INVALID";
    fields.cents = cents;
  } else {
    const file = FILE.exec(text)?.[1];
    // Names that consist of dots are folders.
    if (file === undefined || /^\.+$/.test(file)) return "FILE_INVALID";
    fields.file = file;
  }
  return undefined;
}

function withoutTrailingBlanks(line: string): string {
  let end = line.length;
  while (end > 0 && " \t\r".includes(line.charAt(end - 1))) end -= 1;
  return end === line.length ? line : line.slice(0, end);
}
