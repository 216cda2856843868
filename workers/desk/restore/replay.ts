/**
 * What a partition's audit says about it: the state of every account after the last entry,
 * waiting triggers and contracts. Entries repeat all that they changed, so a replay stores
 * the last value of each field.
 */
import type { AccountId } from "../../../domain/ids.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { BOOKS_KEPT_MS, rowsOf } from "../stored/books.ts";
import { accountOfField } from "../stored/fields.ts";
import {
  AUDITED_HASHES,
  changesOf,
  eventsOf,
  parseAuditEntry,
  raisedFrom,
  type AuditEntry,
  type AuditedHash,
  type AuditEvent,
} from "../stored/audit.ts";
import type { SettledContract } from "../stored/settle.ts";
import type { StoredEntry } from "../audit/port.ts";

/** Contracts that were opened in one call. Their field in the bucket is `head|rows`. */
interface OpenedTogether {
  readonly head: string;
  readonly rows: string;
}

/** An entry of `DeskKeys.settlements`. */
export interface SettlementsEntry {
  readonly id: string;
  readonly settled: readonly SettledContract[];
  readonly closePriceMicros: string;
  readonly settledAtMs: number;
}

export interface Replay {
  /**
   * How many transactions the partition must have counted, if the highest of these numbers
   * was used.
   */
  readonly transactions: number;
  readonly lastId: string;
  readonly hashes: Readonly<Record<AuditedHash, Map<string, string>>>;
  /** Deposit → account. */
  readonly deposits: ReadonlyMap<string, string>;
  /** By `field bucket symbol`. */
  readonly contracts: ReadonlyMap<string, OpenedTogether>;
  readonly settlements: readonly SettlementsEntry[];
  /** Accounts whose events do not add up to their balance: the audit contradicts itself. */
  readonly contradicted: readonly string[];
}

export interface ReplayOptions {
  readonly partition: number;
  readonly partitions: number;
  /** Contracts and settlements that are older than the books retain them are omitted. */
  readonly nowMs: number;
}

export async function replay(
  entries: AsyncIterable<StoredEntry>,
  { partition, partitions, nowMs }: ReplayOptions,
): Promise<Replay> {
  const hashes = Object.fromEntries(
    AUDITED_HASHES.map((name) => [name, new Map<string, string>()]),
  ) as Record<AuditedHash, Map<string, string>>;
  const deposits = new Map<string, string>();
  const contracts = new Map<string, OpenedTogether>();
  const settlements: SettlementsEntry[] = [];
  const sums = new Map<string, number>();
  const map = new PartitionMap(partitions);
  const isOwn = (user: string): boolean => map.ofAccount(user as AccountId) === partition;
  let highest = 0;
  let lastId = "0-0";

  for await (const { id, fields } of entries) {
    const entry = parseAuditEntry(fields);
    if (!entry) continue;
    lastId = id;
    for (const [name, text] of entry.changed) {
      for (const [field, value] of changesOf(text)) hashes[name].set(field, value);
    }
    // A transaction of many accounts may move no money: lost contracts return nothing.
    for (const [, number] of entry.events.matchAll(/^[a-z],(\d+)/gm)) {
      highest = Math.max(highest, Number(number));
    }
    const events = [...eventsOf(entry)];
    if (raisedFrom(entry.events) !== undefined) {
      narrow({ hashes, deposits, contracts, sums }, isOwn);
    }
    for (const event of events) {
      for (const cents of "movedCents" in event ? event.movedCents : []) {
        sums.set(event.user, (sums.get(event.user) ?? 0) + cents);
      }
      if (event.kind === "account" && event.name === "DEPOSIT") deposits.set(event.id, event.user);
    }
    if (entry.atMs > nowMs - BOOKS_KEPT_MS) {
      const settled = noteContracts(entry, events, contracts);
      if (settled) settlements.push({ id, ...settled });
    }
  }

  forgetSessions(hashes.sessions);
  return {
    transactions: highest === 0 ? 0 : (highest - partition - 1) / partitions + 1,
    lastId,
    hashes,
    deposits,
    contracts,
    settlements,
    contradicted: [...new Set([...hashes.balances.keys(), ...sums.keys()])].filter(
      (user) => (sums.get(user) ?? 0) !== Number(hashes.balances.get(user) ?? "0"),
    ),
  };
}

/**
 * The partition was split: accounts that are not its own continue in another partition.
 * They are removed here, with all their data.
 */
function narrow(
  { hashes, deposits, contracts, sums }: Narrowed,
  isOwn: (user: string) => boolean,
): void {
  for (const found of [...Object.values(hashes), sums]) {
    for (const field of found.keys()) if (!isOwn(accountOfField(field))) found.delete(field);
  }
  for (const [id, account] of deposits) if (!isOwn(account)) deposits.delete(id);
  for (const [name, { head, rows }] of contracts) {
    contracts.set(name, { head, rows: rowsOf(rows, isOwn) });
  }
}

interface Narrowed {
  readonly hashes: Replay["hashes"];
  readonly deposits: Map<string, string>;
  readonly contracts: Map<string, OpenedTogether>;
  readonly sums: Map<string, number>;
}

/**
 * Notes what an entry opened, settled or sold. Returns the part that followers of
 * settlements read.
 */
function noteContracts(
  entry: AuditEntry,
  events: readonly AuditEvent[],
  contracts: Map<string, OpenedTogether>,
): Omit<SettlementsEntry, "id"> | undefined {
  let settled: SettledContract[] | undefined;
  for (const [name, text] of changesOf(entry.contracts)) {
    const [head = "", listed] = text.split("|");
    const isOpen = head.startsWith("open,");
    const rows = listed ?? (isOpen ? readStakes(entry) : contracts.get(name)?.rows);
    // If the opening of a contract is not in the audit, its accounts are unknown.
    if (rows === undefined) continue;
    contracts.set(name, { head, rows });
    if (!isOpen) settled = listSettled(name, head, rows, events);
  }
  const { closePriceMicros, atMs } = entry;
  return settled && { settled, closePriceMicros, settledAtMs: atMs };
}

/** The rows of the event that opened them. */
function readStakes({ events }: AuditEntry): string {
  return /\|(.*)$/m.exec(events)?.[1] ?? "";
}

function listSettled(
  name: string,
  head: string,
  rows: string,
  events: readonly AuditEvent[],
): SettledContract[] {
  const returned = new Map(
    events.map((event) => [
      event.kind === "account" ? event.id : "",
      "movedCents" in event ? (event.movedCents[0] ?? 0) : 0,
    ]),
  );
  const [, bucket = ""] = name.split(" ");
  return rows
    .split(";")
    .slice(0, -1)
    .map((row) => {
      const [own = "", account = ""] = row.split(",");
      const id = own === "" ? bucket : `${bucket}.${own}`;
      const [kind = ""] = head.split(",");
      return [id, account, kind, returned.get(id) ?? 0] as unknown as SettledContract;
    });
}

/** A session that newer ones of its user have displaced is not restored. */
function forgetSessions(sessions: Map<string, string>): void {
  for (const field of sessions.keys()) {
    const [user = "", session] = field.split(" ");
    if (session === undefined) continue;
    if (!(sessions.get(user) ?? "").split(" ").includes(session)) sessions.delete(field);
  }
}
