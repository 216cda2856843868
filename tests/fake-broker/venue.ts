/**
 * How the fake broker handles orders: accounts, prices and contracts, by its kind of
 * de-duplication.
 */
import { returnCents, saleCents } from "../support/contract-model.ts";
import type { SettlementKind } from "../../domain/products/binary.ts";
import type { RejectReason } from "../../domain/copier/outcome.ts";
import { Book, type BookLine } from "./book.ts";
import type { FakeBrokerSettings } from "./settings.ts";

export interface Batch {
  readonly symbol: string;
  readonly durationSeconds: number;
  readonly validUntilMs: number;
  readonly orders: readonly {
    readonly clientOrderId: string;
    readonly account: string;
    readonly stakeCents: number;
  }[];
}

export interface Closing {
  readonly close: string;
  readonly orders: Batch["orders"];
}

interface Settled {
  readonly clientOrderId: string;
  readonly account: string;
  readonly kind: SettlementKind;
  readonly returnCents: number;
  readonly closePriceMicros: number | null;
  readonly settledAtMs: number;
}

const SYMBOLS = new Set(["EUR/USD", "GBP/USD"]);
const PRICE_MICROS = 1_100_000;
export const PAYOUT_BP = 8_500;

export class Venue {
  readonly #settings: FakeBrokerSettings;
  readonly #book: Book;
  readonly balances = new Map<string, number>();
  readonly settlements: Settled[] = [];

  constructor(settings: FakeBrokerSettings) {
    this.#settings = settings;
    this.#book = new Book(settings.book);
  }

  /** `partial` is the share of new orders that are filled in part. */
  open({ symbol, durationSeconds, validUntilMs, orders }: Batch, partial = 0): unknown[] {
    return orders.map(({ clientOrderId, account, stakeCents: askedCents }) => {
      const now = Date.now();
      const standing = this.#standing(clientOrderId, now);
      if (standing) return placed(standing);
      const balance = this.balances.get(account);
      const stakeCents = shareOfId(clientOrderId) < partial ? computePart(askedCents) : askedCents;
      const refused = { kind: "rejected", stakeCents: askedCents };
      const rejected = (reason: RejectReason) => ({ ...refused, reason });
      if (this.#settings.validUntil === "enforced" && now > validUntilMs) {
        return rejected("PAST_VALID_UNTIL");
      }
      if (!SYMBOLS.has(symbol)) return rejected("QUOTE_STALE");
      if (balance === undefined) return rejected("ACCOUNT_UNKNOWN");
      if (balance < stakeCents) return rejected("BALANCE_TOO_LOW");
      this.balances.set(account, balance - stakeCents);
      const expiresAtMs = now + durationSeconds * 1000;
      const line = { clientOrderId, account, stakeCents, bookedAtMs: now, expiresAtMs };
      this.#book.add({ ...line, validUntilMs });
      setTimeout(() => {
        this.#settle({ ...line, validUntilMs });
      }, durationSeconds * 1000);
      return placed({ ...line, validUntilMs });
    });
  }

  lookUp({ validUntilMs, orders }: Batch): unknown[] {
    const { lookUp, validUntil } = this.#settings;
    const sure = lookUp === "authoritative" && validUntil === "enforced";
    const missing = { kind: sure && Date.now() > validUntilMs ? "absent" : "pending" };
    return orders.map(({ clientOrderId }) => {
      const [line] = this.#book.of(clientOrderId);
      if (!line || (lookUp === "hint" && isOverlooked(clientOrderId))) return missing;
      return placed(line);
    });
  }

  /**
   * Buys positions back. A broker that guarantees one sale for each close buys a position once. Any
   * other sells a contract again each time it is asked, like a venue whose positions have no names.
   */
  close({ close, orders }: Closing): unknown[] {
    return orders.map(({ clientOrderId }) => {
      const sold = this.#soldBy(clientOrderId, close);
      if (sold) return sold;
      const line = this.#book.of(clientOrderId).at(-1);
      const now = Date.now();
      const isSold =
        this.#settings.closes === "once" && this.#book.salesOf(clientOrderId).length > 0;
      if (!line || now >= line.expiresAtMs || isSold) return { kind: "not-open" };
      const { account, stakeCents, bookedAtMs, expiresAtMs } = line;
      const contract = { stakeCents, payoutBp: PAYOUT_BP };
      const left = expiresAtMs - now;
      const returned = saleCents(contract, false, left, expiresAtMs - bookedAtMs);
      this.#book.addSale({
        sold: clientOrderId,
        close,
        account,
        returnCents: returned,
        soldAtMs: now,
      });
      this.balances.set(account, (this.balances.get(account) ?? 0) + returned);
      this.settlements.push({
        clientOrderId,
        account,
        kind: "sold",
        returnCents: returned,
        closePriceMicros: PRICE_MICROS,
        settledAtMs: now,
      });
      return closed(line, returned, now);
    });
  }

  findClosed({ close, orders }: Closing): unknown[] {
    return orders.map(({ clientOrderId }) => {
      const [sale] = this.#book.salesOf(clientOrderId);
      const [line] = this.#book.of(clientOrderId);
      const open = { kind: "open" };
      if (this.#settings.lookUp === "hint" && isOverlooked(clientOrderId)) return open;
      if (sale && line && sale.close === close)
        return closed(line, sale.returnCents, sale.soldAtMs);
      return line && !sale && Date.now() < line.expiresAtMs ? open : { kind: "not-open" };
    });
  }

  /** What a broker that guarantees one sale for each close has sold for it before. */
  #soldBy(id: string, close: string): unknown {
    const sale = this.#book.salesOf(id).find((each) => each.close === close);
    const [line] = this.#book.of(id);
    if (this.#settings.closes !== "once" || !sale || !line) return undefined;
    return closed(line, sale.returnCents, sale.soldAtMs);
  }

  list(prefix: string): unknown[] {
    return this.#book.startingWith(prefix).map((line) => {
      const { clientOrderId, account, stakeCents, bookedAtMs, expiresAtMs } = line;
      const [sale] = this.#book.salesOf(clientOrderId);
      const state = sale ? "sold" : Date.now() < expiresAtMs ? "open" : "won";
      return {
        clientOrderId,
        account,
        stakeCents,
        openedAtMs: bookedAtMs,
        state,
        ...(sale ? { soldBy: sale.close } : {}),
      };
    });
  }

  #standing(id: string, now: number): BookLine | undefined {
    const { deduplicates, windowMs } = this.#settings;
    const last = this.#book.of(id).at(-1);
    if (!last) return undefined;
    if (deduplicates === "account") return last;
    if (deduplicates === "open-orders") return now < last.expiresAtMs ? last : undefined;
    if (deduplicates === "ten-minutes") return now < last.bookedAtMs + windowMs ? last : undefined;
    return undefined;
  }

  #settle({ clientOrderId, account, stakeCents }: BookLine): void {
    if (this.#book.salesOf(clientOrderId).length > 0) return;
    const returned = returnCents("won", stakeCents, PAYOUT_BP);
    this.balances.set(account, (this.balances.get(account) ?? 0) + returned);
    this.settlements.push({
      clientOrderId,
      account,
      kind: "won",
      returnCents: returned,
      closePriceMicros: PRICE_MICROS + 1,
      settledAtMs: Date.now(),
    });
  }
}

/**
 * Which orders of a batch are filled in part depends only on their ids, so that a repeated round
 * fills the same.
 */
function shareOfId(clientOrderId: string): number {
  return (Bun.hash.crc32(clientOrderId) >>> 8) / 2 ** 24;
}

function computePart(askedCents: number): number {
  return Math.max(1, Math.floor(askedCents * 0.6));
}

/** A look-up that is only a hint never finds a third of all orders. */
export function isOverlooked(clientOrderId: string): boolean {
  return Bun.hash.crc32(clientOrderId) % 3 === 0;
}

function closed({ stakeCents }: BookLine, returned: number, closedAtMs: number): unknown {
  const price = { closePriceMicros: PRICE_MICROS, closedAtMs };
  return { kind: "closed", stakeCents, returnCents: returned, ...price };
}

function placed({ stakeCents, bookedAtMs, expiresAtMs }: BookLine): unknown {
  return {
    kind: "placed",
    stakeCents,
    openPriceMicros: PRICE_MICROS,
    openedAtMs: bookedAtMs,
    expiresAtMs,
  };
}
