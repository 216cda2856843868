/** How the desk's hashes hold an account: each field as text, and back. */
import type { Order, Position } from "../domain/desk-account.ts";
import type { Change } from "../domain/desk-rules.ts";

/** Of the latest changes of an account; more of them may stand in its history. */
export const SHOWN_HISTORY = 5;

/** A longer history is cut down to what is shown: seldom enough to be cheap, and soon enough to stay short. */
const LONG_HISTORY_CHARACTERS = 240;

/** `shares`, or, with something set for a trigger, all eight numbers in the order of `Position`. */
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
    ...{ shares, reservedShares, buyCents, buyPriceCents, buyTransaction },
    ...{ sellCents, sellPriceCents, sellTransaction },
  };
}

/** `symbol,shares,priceCents,atMs;` each, newest first. */
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

/** The history with a change before all others: `transaction,code,symbol,cents,shares,atMs;` each. */
export function withChange(
  history: string,
  transaction: number,
  code: string,
  { symbol, cents, shares }: Change,
  atMs: number,
): string {
  const kept = history.length > LONG_HISTORY_CHARACTERS ? shortened(history) : history;
  return `${transaction},${code},${symbol},${cents},${shares},${atMs};${kept}`;
}

function shortened(history: string): string {
  let end = -1;
  for (let rows = 1; rows < SHOWN_HISTORY; rows += 1) {
    const next = history.indexOf(";", end + 1);
    if (next < 0) return history;
    end = next;
  }
  return history.slice(0, end + 1);
}

/** A waiting trigger as the sorted set of its side holds it: ordered by symbol, then by price. */
export function packTrigger(symbol: string, priceCents: number, user: string): string {
  return `${symbol} ${String(priceCents).padStart(13, "0")} ${user}`;
}
