/**
 * The desk's audit, as its stream carries it: one entry for each atomic step. An entry
 * contains the events, one on each line, and the new values of all that changed. The log
 * is made from the events, and the accounts are rebuilt from the values.
 */
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";
import type { Fired } from "../../../domain/desk/rules.ts";

/** The consumer groups of the audit streams. The name dates from when the recorder drained them. */
export const AUDIT_GROUPS = ["recorder"] as const;

/** The hashes of a partition whose changes an entry repeats, as `field\nvalue\nfield\nvalue …`. */
export const AUDITED_HASHES = [
  "balances",
  "positions",
  "buys",
  "sells",
  "symbols",
  "sessions",
] as const;
export type AuditedHash = (typeof AUDITED_HASHES)[number];

/** Replaces the users of an entry: those of a whole shard are not listed again. */
export const MANY_USERS = "*";

/** An entry's fields. `users` are separated by blanks, `events` by newlines. */
export interface AuditEntry {
  readonly atMs: number;
  readonly server: string;
  readonly users: readonly string[];
  readonly events: string;
  /** The changed values, as they were at the end of the call. */
  readonly changed: ReadonlyMap<AuditedHash, string>;
  /**
   * Contracts that were opened, settled or sold together, in the same form as `changed`:
   * their name in `DeskKeys.expiries`, and the new value of their field (`stored/books.ts`).
   * The value omits the rows if they are the ones that were opened.
   */
  readonly contracts: string;
  /** The price at which they were settled or sold, if they were. */
  readonly closePriceMicros: string;
}

/** What moves an account without a command of its user. A stake is taken from the account. */
export type AccountEventName = "DEPOSIT" | "STAKE" | "RETURN";

export type AuditEvent = { readonly transaction: number; readonly user: string } & (
  | {
      /**
       * `c,transaction,name,user,symbol,cents,file,refusal,moved…`. A missing field is empty or
       * 0.
       */
      readonly kind: "command";
      readonly name: string;
      readonly symbol: string;
      readonly cents: number;
      readonly file: string;
      readonly refusal: DeskRefusal | "";
      /** Cents added to the free balance; negative if they were taken from it. */
      readonly movedCents: readonly number[];
    }
  | {
      /**
       * `q,transaction,user,symbol,priceCents,sourceTimeMs,cryptokey`: an answer that was paid
       * for.
       */
      readonly kind: "quote";
      readonly symbol: string;
      readonly priceCents: number;
      readonly sourceTimeMs: number;
      readonly cryptokey: string;
    }
  | {
      /**
       * `f,transaction,name,user,symbol,priceCents,shares,moved…`: a trigger that fired, under
       * the transaction that set it.
       */
      readonly kind: "fired";
      readonly name: string;
      readonly symbol: string;
      readonly priceCents: number;
      readonly shares: number;
      readonly movedCents: readonly number[];
    }
  | {
      /**
       * One part of `m,transaction,name,of|id,account,cents;…`: a deposit, or a contract's stake
       * or return, by its id.
       */
      readonly kind: "account";
      readonly name: AccountEventName;
      readonly id: string;
      readonly movedCents: readonly number[];
    }
  | {
      /**
       * `s,transaction,what`: a server started or stopped, or the partition was split, see
       * `raisedEvent`.
       */
      readonly kind: "system";
      readonly what: string;
    }
);

/** The quote server's answer, which is paid for. */
export interface PaidAnswer {
  readonly symbol: string;
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  readonly cryptokey: string;
  /** The name in which the source was asked. */
  readonly user: string;
}

export interface CommandLine {
  readonly name: string;
  readonly user: string;
  readonly symbol: string;
  readonly cents: number;
  readonly more?: { readonly file?: string };
}

/** The lines of `events`, as `AuditEvent` describes them. */
export function commandEvent(
  transaction: number,
  { name, user, symbol, cents, more }: CommandLine,
  refusal: DeskRefusal | "",
  movedCents: readonly number[],
): string {
  let text = `c,${transaction},${name},${user},${symbol},${cents},${more?.file ?? ""},${refusal}`;
  for (const moved of movedCents) text += `,${moved}`;
  return text;
}

export function firedEvent(
  side: "buy" | "sell",
  { user, symbol, priceCents }: { user: string; symbol: string; priceCents: number },
  { transaction, shares, movedCents }: Fired,
): string {
  const name = side === "buy" ? "SET_BUY_TRIGGER" : "SET_SELL_TRIGGER";
  return ["f", transaction, name, user, symbol, priceCents, shares, ...movedCents].join(",");
}

export function paidEvent(transaction: number, answer: PaidAnswer): string {
  const { user, symbol, priceCents, quoteTimeMs, cryptokey } = answer;
  return `q,${transaction},${user},${symbol},${priceCents},${quoteTimeMs},${cryptokey}`;
}

/**
 * The number of partitions was raised. From here on the partition has only its own
 * accounts. The audit of a new partition begins with this event; the earlier history of
 * its accounts is before this entry's id in the partition that it was split from.
 */
export function raisedEvent(transaction: number, from: number, to: number): string {
  return `s,${transaction},raised ${from} ${to}`;
}

/** The number of partitions before, if an entry with these events records a raise. */
export function raisedFrom(events: string): number | undefined {
  const [, from] = /^s,\d+,raised (\d+) \d+$/m.exec(events) ?? [];
  return from === undefined ? undefined : Number(from);
}

/** Undefined for anything that is not an audit entry. */
export function parseAuditEntry(fields: ReadonlyMap<string, string>): AuditEntry | undefined {
  const atMs = Number(fields.get("at"));
  const events = fields.get("events");
  if (!Number.isSafeInteger(atMs) || atMs <= 0 || events === undefined) return undefined;
  return {
    atMs,
    server: fields.get("server") ?? "",
    users: (fields.get("users") ?? "").split(" ").filter((user) => user !== ""),
    events,
    changed: new Map(
      AUDITED_HASHES.flatMap((name) => {
        const text = fields.get(name);
        return text === undefined ? [] : [[name, text] as const];
      }),
    ),
    contracts: fields.get("contracts") ?? "",
    closePriceMicros: fields.get("closePriceMicros") ?? "",
  };
}

/** The events of an entry, in their order. */
export function* eventsOf({ events }: Pick<AuditEntry, "events">): Generator<AuditEvent> {
  for (const line of events.split("\n")) {
    if (line.startsWith("m,")) yield* accountEvents(line);
    else yield parseAuditEvent(line);
  }
}

/** Many accounts in one transaction: what one call opened or settled, or one call of deposits. */
function* accountEvents(line: string): Generator<AuditEvent> {
  const [head = "", rows = ""] = line.split("|");
  const [, transaction, text, of = ""] = head.split(",");
  const name = text as AccountEventName;
  for (const row of rows.split(";").slice(0, -1)) {
    const [own = "", user = "", cents] = row.split(",");
    const id = of === "" || own === "" ? `${of}${own}` : `${of}.${own}`;
    const moved = name === "STAKE" ? -Number(cents) : Number(cents);
    yield {
      kind: "account",
      transaction: Number(transaction),
      name,
      id,
      user,
      movedCents: moved === 0 ? [] : [moved],
    };
  }
}

/** One line of `events`. An unknown kind is a bug. */
function parseAuditEvent(line: string): AuditEvent {
  const [kind = "", number, ...rest] = line.split(",");
  const transaction = Number(number);
  const text = (index: number): string => rest[index] ?? "";
  const amount = (index: number): number => Number(rest[index]);
  const moved = (from: number): number[] => rest.slice(from).map(Number);
  switch (kind) {
    case "c":
      return {
        kind: "command",
        transaction,
        name: text(0),
        user: text(1),
        symbol: text(2),
        cents: amount(3),
        file: text(4),
        refusal: text(5) as DeskRefusal | "",
        movedCents: moved(6),
      };
    case "q":
      return {
        kind: "quote",
        transaction,
        user: text(0),
        symbol: text(1),
        priceCents: amount(2),
        sourceTimeMs: amount(3),
        cryptokey: text(4),
      };
    case "f":
      return {
        kind: "fired",
        transaction,
        name: text(0),
        user: text(1),
        symbol: text(2),
        priceCents: amount(3),
        shares: amount(4),
        movedCents: moved(5),
      };
    case "s":
      return { kind: "system", transaction, user: "", what: text(0) };
    default:
      throw new TypeError("not an audit event");
  }
}

/** The fields and values of one hash of `changed`. */
export function* changesOf(text: string): Generator<readonly [field: string, value: string]> {
  const flat = text.split("\n");
  for (let index = 0; index + 1 < flat.length; index += 2) {
    yield [flat[index] ?? "", flat[index + 1] ?? ""];
  }
}
