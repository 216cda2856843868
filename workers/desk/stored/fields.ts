/** How the desk's hashes store an account: each field as text, and back. */
import type { Order, Position } from "../../../domain/desk/account.ts";
import type { AccountChange } from "../../../domain/desk/summary.ts";

/** The number of latest changes of an account. */
export const SHOWN_HISTORY = 5;

/**
 * Short names for the changes of an account in its history, because every change writes
 * the whole history again.
 */
const HISTORY_CODES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ADD: "A",
    COMMIT_BUY: "B",
    COMMIT_SELL: "S",
    SET_BUY_AMOUNT: "BA",
    SET_BUY_TRIGGER: "BT",
    CANCEL_SET_BUY: "BC",
    SET_SELL_AMOUNT: "SA",
    SET_SELL_TRIGGER: "ST",
    CANCEL_SET_SELL: "SC",
    BOUGHT: "BF",
    SOLD: "SF",
  }),
);
const HISTORY_NAMES = new Map([...HISTORY_CODES].map(([name, code]) => [code, name]));

/**
 * The account that a hash field belongs to. The field is the account's name alone, or is
 * followed by a symbol or a session.
 */
export function accountOfField(field: string): string {
  return field.split(" ", 1)[0] ?? "";
}

/**
 * `shares`, or, if something is set for a trigger, all eight numbers in the order of
 * `Position`.
 */
export function packPosition(position: Position): string {
  const { shares, reservedShares, buyCents, buyPriceCents, buyTransaction } = position;
  const { sellCents, sellPriceCents, sellTransaction } = position;
  if (reservedShares === 0 && buyCents === 0 && sellCents === 0) return String(shares);
  return `${shares},${reservedShares},${buyCents},${buyPriceCents},${buyTransaction},${sellCents},${sellPriceCents},${sellTransaction}`;
}

export function parsePosition(text: string): Position {
  const [shares = 0, reservedShares = 0, buyCents = 0, buyPriceCents = 0, ...rest] = text
    .split(",")
    .map(Number);
  const [buyTransaction = 0, sellCents = 0, sellPriceCents = 0, sellTransaction = 0] = rest;
  return {
    shares,
    reservedShares,
    buyCents,
    buyPriceCents,
    buyTransaction,
    sellCents,
    sellPriceCents,
    sellTransaction,
  };
}

/** `symbol,shares,priceCents,atMs;` for each order, newest first. */
export function packOrders(orders: readonly Order[]): string {
  let text = "";
  for (const order of orders) {
    text += order.row ??= `${order.symbol},${order.shares},${order.priceCents},${order.atMs};`;
  }
  return text;
}

export function parseOrders(text: string): Order[] {
  const rows = text.split(";").slice(0, -1);
  return rows.map((row) => {
    const [symbol = "", ...numbers] = row.split(",");
    const [shares = 0, priceCents = 0, atMs = 0] = numbers.map(Number);
    return { symbol, shares, priceCents, atMs };
  });
}

/** `transaction,code,symbol,cents,shares,atMs;` for a change. */
export function packChange({
  transaction,
  command,
  symbol,
  cents,
  shares,
  atMs,
}: AccountChange): string {
  return `${transaction},${HISTORY_CODES.get(command) ?? ""},${symbol ?? ""},${cents},${shares},${atMs};`;
}

/** The changes of a history that are shown. The stored text may contain more. */
export function parseHistory(text: string): AccountChange[] {
  const rows = text.split(";", SHOWN_HISTORY).filter((row) => row !== "");
  return rows.map((row) => {
    const [transaction, code = "", symbol = "", ...numbers] = row.split(",");
    const [cents = 0, shares = 0, atMs = 0] = numbers.map(Number);
    const command = HISTORY_NAMES.get(code) ?? code;
    const of = symbol === "" ? null : symbol;
    return { transaction: Number(transaction), command, symbol: of, cents, shares, atMs };
  });
}

/** A waiting trigger as the sorted set of its side stores it: ordered by symbol, then by price. */
export function packTrigger(symbol: string, priceCents: number, user: string): string {
  return `${symbol} ${String(priceCents).padStart(13, "0")} ${user}`;
}
