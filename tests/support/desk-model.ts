/**
 * The desk's rules, written as simply as possible, with maps in memory. The real desk is compared
 * with it. It is not used in production.
 */
import type { DeskCommand } from "../../domain/desk/command.ts";
import type { DeskRefusal } from "../../domain/desk/refusals.ts";
import type { DeskBooks } from "../../workers/desk/stored/accounts.ts";

/** No account holds more cents, and no position more shares. */
const MAX_HELD = 1_000_000_000_000_000;
const MAX_PENDING = 100;

interface Order {
  readonly symbol: string;
  readonly shares: number;
  readonly totalCents: number;
  readonly atMs: number;
}

interface Position {
  shares: number;
  reservedShares: number;
  buy?: { readonly cents: number; readonly priceCents?: number } | undefined;
  sell?: { readonly cents: number; readonly priceCents?: number } | undefined;
}

interface Account {
  balanceCents: number;
  /** Newest last. */
  readonly buys: Order[];
  readonly sells: Order[];
  readonly positions: Map<string, Position>;
}

export type ModelReply =
  | { readonly ok: true; readonly balanceCents: number; readonly fired?: number }
  | { readonly ok: false; readonly code: DeskRefusal };

type Done = DeskRefusal | { readonly fired?: number };
const DONE: Done = {};

export class DeskModel {
  readonly #accounts = new Map<string, Account>();
  readonly #pendingValidMs: number;

  constructor(pendingValidMs: number) {
    this.#pendingValidMs = pendingValidMs;
  }

  /** `quoteCents` is the valid quote of the command's symbol, if there is one. */
  execute(command: DeskCommand, atMs: number, quoteCents?: number): ModelReply {
    const { name, user } = command;
    let account = this.#accounts.get(user);
    if (!account && name === "ADD") {
      account = { balanceCents: 0, buys: [], sells: [], positions: new Map() };
      this.#accounts.set(user, account);
    }
    if (name === "DUMPLOG") return { ok: true, balanceCents: account?.balanceCents ?? 0 };
    if (!account) return { ok: false, code: "USER_UNKNOWN" };
    const done = this.#do(account, command, atMs, quoteCents);
    return typeof done === "string"
      ? { ok: false, code: done }
      : { ok: true, balanceCents: account.balanceCents, ...done };
  }

  /** Fires the triggers that a quote meets; returns how many shares were traded. */
  fire(symbol: string, quoteCents: number): number {
    let fired = 0;
    for (const account of this.#accounts.values()) {
      const position = account.positions.get(symbol);
      if (!position) continue;
      fired += fireBuy(account, position, quoteCents) + fireSell(account, position, quoteCents);
    }
    return fired;
  }

  books(): ReadonlyMap<string, DeskBooks> {
    return new Map([...this.#accounts].map(([user, account]) => [user, toBooks(account)]));
  }

  #do(account: Account, command: DeskCommand, atMs: number, quoteCents?: number): Done {
    const { name, symbol, cents } = command;
    const position = account.positions.get(symbol) ?? { shares: 0, reservedShares: 0 };
    const owned = position.shares + position.reservedShares;
    const keep = (): void => void account.positions.set(symbol, position);

    switch (name) {
      case "ADD":
        if (account.balanceCents + cents > MAX_HELD) return "BALANCE_TOO_HIGH";
        account.balanceCents += cents;
        return DONE;
      case "QUOTE":
        return quoteCents === undefined ? "QUOTE_UNAVAILABLE" : DONE;
      case "BUY":
        if (quoteCents === undefined) return "QUOTE_UNAVAILABLE";
        if (account.balanceCents < cents) return "BALANCE_TOO_LOW";
        return this.#order(account.buys, symbol, cents, quoteCents, atMs);
      case "SELL":
        if (quoteCents === undefined) return "QUOTE_UNAVAILABLE";
        if (position.shares * quoteCents < cents) return "SHARES_TOO_FEW";
        return this.#order(account.sells, symbol, cents, quoteCents, atMs);
      case "COMMIT_BUY": {
        const order = this.#take(account.buys, atMs);
        if (!order) return "BUY_NOT_PENDING";
        if (account.balanceCents < order.totalCents) return "BALANCE_TOO_LOW";
        const bought = account.positions.get(order.symbol) ?? { shares: 0, reservedShares: 0 };
        if (bought.shares + bought.reservedShares + order.shares > MAX_HELD) {
          return "SHARES_TOO_MANY";
        }
        account.positions.set(order.symbol, bought);
        bought.shares += order.shares;
        account.balanceCents -= order.totalCents;
        return DONE;
      }
      case "COMMIT_SELL": {
        const order = this.#take(account.sells, atMs);
        if (!order) return "SELL_NOT_PENDING";
        const sold = account.positions.get(order.symbol);
        if (!sold || sold.shares < order.shares) return "SHARES_TOO_FEW";
        if (account.balanceCents + order.totalCents > MAX_HELD) return "BALANCE_TOO_HIGH";
        sold.shares -= order.shares;
        account.balanceCents += order.totalCents;
        return DONE;
      }
      case "CANCEL_BUY":
        return this.#take(account.buys, atMs) ? DONE : "BUY_NOT_PENDING";
      case "CANCEL_SELL":
        return this.#take(account.sells, atMs) ? DONE : "SELL_NOT_PENDING";
      case "SET_BUY_AMOUNT": {
        const free = account.balanceCents + (position.buy?.cents ?? 0);
        if (free < cents) return "BALANCE_TOO_LOW";
        if (free - cents > MAX_HELD) return "BALANCE_TOO_HIGH";
        account.balanceCents = free - cents;
        position.buy = { cents };
        keep();
        return DONE;
      }
      case "SET_BUY_TRIGGER":
        if (quoteCents === undefined) return "QUOTE_UNAVAILABLE";
        if (!position.buy) return "BUY_AMOUNT_NOT_SET";
        if (cents > position.buy.cents) return "PRICE_ABOVE_AMOUNT";
        position.buy = { cents: position.buy.cents, priceCents: cents };
        return { fired: fireBuy(account, position, quoteCents) };
      case "CANCEL_SET_BUY":
        if (!position.buy) return "BUY_AMOUNT_NOT_SET";
        if (account.balanceCents + position.buy.cents > MAX_HELD) return "BALANCE_TOO_HIGH";
        account.balanceCents += position.buy.cents;
        position.buy = undefined;
        return DONE;
      case "SET_SELL_AMOUNT":
        if (quoteCents === undefined) return "QUOTE_UNAVAILABLE";
        if (owned * quoteCents < cents) return "SHARES_TOO_FEW";
        position.shares = owned;
        position.reservedShares = 0;
        position.sell = { cents };
        keep();
        return DONE;
      case "SET_SELL_TRIGGER": {
        if (quoteCents === undefined) return "QUOTE_UNAVAILABLE";
        if (!position.sell) return "SELL_AMOUNT_NOT_SET";
        if (cents > position.sell.cents) return "PRICE_ABOVE_AMOUNT";
        const shares = Math.floor(position.sell.cents / cents);
        if (owned < shares) return "SHARES_TOO_FEW";
        position.shares = owned - shares;
        position.reservedShares = shares;
        position.sell = { cents: position.sell.cents, priceCents: cents };
        return { fired: fireSell(account, position, quoteCents) };
      }
      case "CANCEL_SET_SELL":
        if (!position.sell) return "SELL_AMOUNT_NOT_SET";
        position.shares = owned;
        position.reservedShares = 0;
        position.sell = undefined;
        return DONE;
      case "DUMPLOG":
      case "DISPLAY_SUMMARY":
        break;
    }
    return DONE;
  }

  #order(to: Order[], symbol: string, cents: number, quoteCents: number, atMs: number): Done {
    if (quoteCents > cents) return "QUOTE_ABOVE_AMOUNT";
    const valid = to.filter((order) => atMs - order.atMs < this.#pendingValidMs);
    if (valid.length >= MAX_PENDING) return "PENDING_TOO_MANY";
    const shares = Math.floor(cents / quoteCents);
    to.push({ symbol, shares, totalCents: shares * quoteCents, atMs });
    return DONE;
  }

  #take(from: Order[], atMs: number): Order | undefined {
    const newest = from.at(-1);
    if (!newest || atMs - newest.atMs >= this.#pendingValidMs) return undefined;
    return from.pop();
  }
}

function fireBuy(account: Account, position: Position, quoteCents: number): number {
  const { buy } = position;
  if (buy?.priceCents === undefined || quoteCents > buy.priceCents) return 0;
  const shares = Math.floor(buy.cents / quoteCents);
  const restCents = buy.cents - shares * quoteCents;
  if (position.shares + position.reservedShares + shares > MAX_HELD) return 0;
  if (account.balanceCents + restCents > MAX_HELD) return 0;
  position.buy = undefined;
  position.shares += shares;
  account.balanceCents += restCents;
  return shares;
}

function fireSell(account: Account, position: Position, quoteCents: number): number {
  const { sell, reservedShares: shares } = position;
  if (sell?.priceCents === undefined || quoteCents < sell.priceCents) return 0;
  if (account.balanceCents + shares * quoteCents > MAX_HELD) return 0;
  position.sell = undefined;
  position.reservedShares = 0;
  account.balanceCents += shares * quoteCents;
  return shares;
}

function toBooks({ balanceCents, positions }: Account): DeskBooks {
  const held = (of: (position: Position) => number): Record<string, number> =>
    Object.fromEntries(
      [...positions].flatMap(([symbol, position]) =>
        of(position) > 0 ? [[symbol, of(position)] as const] : [],
      ),
    );
  return {
    balanceCents,
    reservedCents: [...positions.values()].reduce((sum, { buy }) => sum + (buy?.cents ?? 0), 0),
    shares: held(({ shares }) => shares),
    reservedShares: held(({ reservedShares }) => reservedShares),
  };
}
