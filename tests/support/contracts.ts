/**
 * Binary contracts on the desk's own scripts: accounts with money, a quote, and orders in batches.
 */
import type { AccountId } from "../../domain/ids.ts";
import {
  eventsOf,
  parseAuditEntry,
  type AuditEntry,
  type AuditEvent,
} from "../../workers/desk/stored/audit.ts";
import { parseBucket, type Contract } from "../../workers/desk/stored/books.ts";
import { deposit } from "../../workers/desk/stored/deposit.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import { openContracts, type OpenArgs, type OpenReply } from "../../workers/desk/stored/open.ts";
import { writeDeskQuotes } from "../../workers/desk/stored/quotes.ts";
import type { ScriptRedis } from "./scripts.ts";
import { signalIdOf } from "./signals.ts";

export const DESK_CALL = { partition: 1, partitions: 4, server: "d1" };
export const DESK = new DeskKeys(DESK_CALL.partition);
export const BUCKET = signalIdOf(1);

/** `[name, account, stakeCents]`. */
export type OrderRow = readonly [name: string, account: string, stakeCents: number];

export interface ContractDesk {
  deposit(balances: Readonly<Record<string, number>>): Promise<void>;
  /** The newest streamed quote, as old as this by Redis' clock. */
  quote(priceMicros: number, ageMs?: number): Promise<void>;
  /** Calls of a minute on EUR/USD at 85 %, in shard 0, unless given. */
  open(
    rows: readonly OrderRow[],
    changes?: Partial<OpenArgs> & { readonly shard?: number },
  ): Promise<OpenReply>;
  balances(): Promise<Readonly<Record<string, number>>>;
  contracts(): Promise<readonly Contract[]>;
  audit(): Promise<readonly AuditEntry[]>;
  events(): Promise<readonly AuditEvent[]>;
}

export function contractDesk(redis: ScriptRedis): ContractDesk {
  const audit = async (): Promise<AuditEntry[]> =>
    (await redis.entries(DESK.audit)).map((fields) => {
      const entry = parseAuditEntry(fields);
      if (!entry) throw new Error("not an audit entry");
      return entry;
    });
  let deposits = 0;
  return {
    async deposit(balances) {
      const some = Object.entries(balances).map(([account, amountCents]) => {
        deposits += 1;
        return { id: `deposit-${deposits}`, account: account as AccountId, amountCents };
      });
      await redis.run(deposit, { ...DESK_CALL, deposits: some });
    },
    async quote(priceMicros, ageMs = 0) {
      const sourceTimeMs = (await redis.nowMs()) - ageMs;
      // Of two quotes in one millisecond, the first would stay the newest.
      await redis.send("HDEL", DESK.quotes, "EUR/USD");
      const quotes = [{ symbol: "EUR/USD", priceMicros, sourceTimeMs }];
      await redis.run(writeDeskQuotes, { desk: DESK, quotes });
    },
    async open(rows, { shard = 0, ...changes } = {}) {
      const validUntilMs = (await redis.nowMs()) + 60_000;
      return await redis.run(openContracts, {
        ...DESK_CALL,
        symbol: "EUR/USD",
        contract: "CALL",
        durationMs: 60_000,
        validUntilMs,
        payoutBp: 8_500,
        orders: {
          bucket: BUCKET,
          shard,
          names: rows.map(([name]) => name),
          accounts: rows.map(([, account]) => account as AccountId),
          stakesCents: rows.map(([, , stakeCents]) => stakeCents),
        },
        ...changes,
      });
    },
    async balances() {
      const stored = Object.entries(await redis.hash(DESK.balances));
      return Object.fromEntries(stored.map(([account, cents]) => [account, Number(cents)]));
    },
    contracts: async () => parseBucket(BUCKET, await redis.hash(DESK.contracts(BUCKET))),
    audit,
    events: async () => (await audit()).flatMap((entry) => [...eventsOf(entry)]),
  };
}
