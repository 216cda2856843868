/**
 * What each of the desk's commands requires and does: the table of commands in
 * `docs/DESK.md`, as code.
 */
import { MAX_HELD, type Account, type Order, type Position } from "./account.ts";
import { QUOTED_COMMANDS, type DeskCommandName } from "./command.ts";
import type { DeskRefusal } from "./refusals.ts";
import { ASKED_QUOTE_VALID_MS } from "./quote.ts";

/** Pending orders of a side. */
export const MAX_PENDING = 100;

/** A command with the quote at which it is executed. */
export interface PricedCommand {
  readonly symbol: string;
  readonly cents: number;
  /** Zeros if there is no quote. */
  readonly priceCents: number;
  readonly quoteTimeMs: number;
}

/** When a command is executed, and its transaction number. */
export interface Moment {
  readonly transaction: number;
  readonly atMs: number;
  /** How long a pending order can be committed. */
  readonly pendingValidMs: number;
}

/** What the sender learns beside the balance. */
export interface Told {
  readonly symbol?: string;
  readonly shares?: number;
  readonly priceCents?: number;
  readonly quoteTimeMs?: number;
  readonly totalCents?: number;
  readonly fired?: number;
}

/** A change of the account, as its history shows it. */
export interface Change {
  readonly symbol: string;
  readonly cents: number;
  readonly shares: number;
}

/** A trigger whose price was met. */
export interface Fired {
  readonly transaction: number;
  readonly shares: number;
  readonly totalCents: number;
  readonly movedCents: readonly number[];
}

export interface Done {
  readonly told: Told;
  readonly change?: Change;
  /** Cents added to the free balance; negative if they were taken from it. */
  readonly movedCents?: readonly number[];
  readonly fired?: Fired;
}

type Rule = (account: Account, command: PricedCommand, moment: Moment) => DeskRefusal | Done;

const NOTHING: Done = { told: {} };

/**
 * Executes a command, or returns why it is refused. A refused command changes only what it
 * consumes.
 */
export function executeCommand(
  account: Account,
  name: DeskCommandName,
  command: PricedCommand,
  moment: Moment,
): DeskRefusal | Done {
  if (account.balanceCents === undefined && name !== "ADD" && name !== "DUMPLOG") {
    return "USER_UNKNOWN";
  }
  const isOld = moment.atMs - command.quoteTimeMs > ASKED_QUOTE_VALID_MS;
  if (QUOTED_COMMANDS.has(name) && (command.priceCents <= 0 || isOld)) return "QUOTE_UNAVAILABLE";
  return RULES[name](account, command, moment);
}

const RULES: Readonly<Record<DeskCommandName, Rule>> = {
  ADD(account, { cents }) {
    if (!canTake(account, cents)) return "BALANCE_TOO_HIGH";
    return {
      told: {},
      change: { symbol: "", cents, shares: 0 },
      movedCents: [move(account, cents)],
    };
  },
  QUOTE: (_, { symbol, priceCents, quoteTimeMs }) => ({
    told: { symbol, priceCents, quoteTimeMs },
  }),

  BUY(account, command, moment) {
    if (balanceOf(account) < command.cents) return "BALANCE_TOO_LOW";
    return order(account, "buys", command, moment);
  },
  COMMIT_BUY(account, _, moment) {
    const taken = take(account, "buys", moment);
    if (!taken) return "BUY_NOT_PENDING";
    const { symbol, shares } = taken;
    const totalCents = shares * taken.priceCents;
    if (balanceOf(account) < totalCents) return "BALANCE_TOO_LOW";
    const position = account.position(symbol);
    if (owned(position) + shares > MAX_HELD) return "SHARES_TOO_MANY";
    position.shares += shares;
    account.keep(symbol);
    return traded(taken, totalCents, move(account, -totalCents));
  },
  CANCEL_BUY(account, _, moment) {
    const taken = take(account, "buys", moment);
    return taken ? cancelled(taken) : "BUY_NOT_PENDING";
  },

  SELL(account, command, moment) {
    const { symbol, cents, priceCents } = command;
    if (account.position(symbol).shares * priceCents < cents) return "SHARES_TOO_FEW";
    return order(account, "sells", command, moment);
  },
  COMMIT_SELL(account, _, moment) {
    const taken = take(account, "sells", moment);
    if (!taken) return "SELL_NOT_PENDING";
    const { symbol, shares } = taken;
    const totalCents = shares * taken.priceCents;
    const position = account.position(symbol);
    if (position.shares < shares) return "SHARES_TOO_FEW";
    if (!canTake(account, totalCents)) return "BALANCE_TOO_HIGH";
    position.shares -= shares;
    account.keep(symbol);
    return traded(taken, totalCents, move(account, totalCents));
  },
  CANCEL_SELL(account, _, moment) {
    const taken = take(account, "sells", moment);
    return taken ? cancelled(taken) : "SELL_NOT_PENDING";
  },

  SET_BUY_AMOUNT(account, { symbol, cents }) {
    const position = account.position(symbol);
    const earlierCents = position.buyCents;
    const freeCents = balanceOf(account) + earlierCents;
    if (freeCents < cents) return "BALANCE_TOO_LOW";
    if (freeCents - cents > MAX_HELD) return "BALANCE_TOO_HIGH";
    clearBuy(position);
    position.buyCents = cents;
    account.keep(symbol);
    const back = earlierCents > 0 ? [move(account, earlierCents)] : [];
    const movedCents = [...back, move(account, -cents)];
    return { told: {}, change: { symbol, cents, shares: 0 }, movedCents };
  },
  SET_BUY_TRIGGER(account, { symbol, cents, priceCents }, { transaction }) {
    const position = account.position(symbol);
    if (position.buyCents === 0) return "BUY_AMOUNT_NOT_SET";
    if (cents > position.buyCents) return "PRICE_ABOVE_AMOUNT";
    position.buyPriceCents = cents;
    position.buyTransaction = transaction;
    account.keep(symbol);
    const fired = priceCents <= cents ? fireBuy(account, symbol, priceCents) : undefined;
    return triggerSet({ symbol, cents, shares: 0 }, fired);
  },
  CANCEL_SET_BUY(account, { symbol }) {
    const position = account.position(symbol);
    const cents = position.buyCents;
    if (cents === 0) return "BUY_AMOUNT_NOT_SET";
    if (!canTake(account, cents)) return "BALANCE_TOO_HIGH";
    clearBuy(position);
    account.keep(symbol);
    const change = { symbol, cents, shares: 0 };
    return { told: { totalCents: cents }, change, movedCents: [move(account, cents)] };
  },

  SET_SELL_AMOUNT(account, { symbol, cents, priceCents }) {
    const position = account.position(symbol);
    if (owned(position) * priceCents < cents) return "SHARES_TOO_FEW";
    clearSell(position);
    position.sellCents = cents;
    account.keep(symbol);
    return { told: {}, change: { symbol, cents, shares: 0 } };
  },
  SET_SELL_TRIGGER(account, { symbol, cents, priceCents }, { transaction }) {
    const position = account.position(symbol);
    if (position.sellCents === 0) return "SELL_AMOUNT_NOT_SET";
    if (cents > position.sellCents) return "PRICE_ABOVE_AMOUNT";
    const shares = Math.floor(position.sellCents / cents);
    if (owned(position) < shares) return "SHARES_TOO_FEW";
    position.shares = owned(position) - shares;
    position.reservedShares = shares;
    position.sellPriceCents = cents;
    position.sellTransaction = transaction;
    account.keep(symbol);
    const fired = priceCents >= cents ? fireSell(account, symbol, priceCents) : undefined;
    return triggerSet({ symbol, cents, shares }, fired);
  },
  CANCEL_SET_SELL(account, { symbol, cents }) {
    const position = account.position(symbol);
    if (position.sellCents === 0) return "SELL_AMOUNT_NOT_SET";
    const shares = position.reservedShares;
    clearSell(position);
    account.keep(symbol);
    return { told: { shares }, change: { symbol, cents, shares } };
  },

  DUMPLOG: () => NOTHING,
  DISPLAY_SUMMARY: () => NOTHING,
};

/**
 * Executes a buy trigger whose price was met. Returns undefined if the account would
 * exceed its bound; then the trigger continues to wait.
 */
export function fireBuy(account: Account, symbol: string, priceCents: number): Fired | undefined {
  const position = account.position(symbol);
  const shares = Math.floor(position.buyCents / priceCents);
  const totalCents = shares * priceCents;
  const restCents = position.buyCents - totalCents;
  if (owned(position) + shares > MAX_HELD || !canTake(account, restCents)) return undefined;
  const transaction = position.buyTransaction;
  clearBuy(position);
  position.shares += shares;
  account.keep(symbol);
  const movedCents = restCents > 0 ? [move(account, restCents)] : [];
  return { transaction, shares, totalCents, movedCents };
}

/** Executes a sell trigger, as `fireBuy` does a buy trigger. */
export function fireSell(account: Account, symbol: string, priceCents: number): Fired | undefined {
  const position = account.position(symbol);
  const { reservedShares: shares, sellTransaction: transaction } = position;
  const totalCents = shares * priceCents;
  if (!canTake(account, totalCents)) return undefined;
  position.reservedShares = 0;
  clearSell(position);
  account.keep(symbol);
  return { transaction, shares, totalCents, movedCents: [move(account, totalCents)] };
}

function balanceOf({ balanceCents = 0 }: Account): number {
  return balanceCents;
}

function canTake(account: Account, cents: number): boolean {
  return balanceOf(account) + cents <= MAX_HELD;
}

function move(account: Account, cents: number): number {
  account.balanceCents = balanceOf(account) + cents;
  return cents;
}

function owned({ shares, reservedShares }: Position): number {
  return shares + reservedShares;
}

type Pile = "buys" | "sells";

function order(
  account: Account,
  pile: Pile,
  { symbol, cents, priceCents }: PricedCommand,
  { atMs, pendingValidMs }: Moment,
): DeskRefusal | Done {
  if (priceCents > cents) return "QUOTE_ABOVE_AMOUNT";
  const valid = account[pile].filter((pending) => atMs - pending.atMs < pendingValidMs);
  if (valid.length >= MAX_PENDING) return "PENDING_TOO_MANY";
  const shares = Math.floor(cents / priceCents);
  account[pile] = [{ symbol, shares, priceCents, atMs }, ...valid];
  return { told: { symbol, shares, priceCents, totalCents: shares * priceCents } };
}

/**
 * Removes the newest order of a side, even if the command then fails. Undefined if the
 * order has expired.
 */
function take(account: Account, pile: Pile, { atMs, pendingValidMs }: Moment): Order | undefined {
  const [newest, ...rest] = account[pile];
  if (!newest || atMs - newest.atMs >= pendingValidMs) return undefined;
  account[pile] = rest;
  return newest;
}

function traded({ symbol, shares }: Order, totalCents: number, movedCents: number): Done {
  const change = { symbol, cents: totalCents, shares };
  return { told: { symbol, shares, totalCents }, change, movedCents: [movedCents] };
}

function cancelled({ symbol, shares, priceCents }: Order): Done {
  return { told: { symbol, shares, totalCents: shares * priceCents } };
}

function triggerSet(change: Change, fired: Fired | undefined): Done {
  return { told: { fired: fired?.shares ?? 0 }, change, ...(fired ? { fired } : {}) };
}

function clearBuy(position: Position): void {
  position.buyCents = 0;
  position.buyPriceCents = 0;
  position.buyTransaction = 0;
}

/** Makes what was reserved free again. */
function clearSell(position: Position): void {
  position.shares = owned(position);
  position.reservedShares = 0;
  position.sellCents = 0;
  position.sellPriceCents = 0;
  position.sellTransaction = 0;
}
