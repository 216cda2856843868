/**
 * What DISPLAY_SUMMARY shows. It is remembered as the fields stand, and put into
 * words by whoever sends it.
 */
import { parseOrders, parsePosition, SHOWN_HISTORY } from "./desk-fields.ts";
import type { DeskSummary, PendingOrder, WaitingTrigger } from "../domain/desk-summary.ts";

/** What a history calls the changes of an account: each is read and written again with the next ones. */
export const HISTORY_CODES: Readonly<Record<string, string>> = {
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
};
const HISTORY_NAMES = new Map(Object.entries(HISTORY_CODES).map(([name, code]) => [code, name]));

/** The summary as members of a JSON object. */
export function expandSummary(text: string): string {
  return JSON.stringify(parseSummary(text)).slice(1, -1);
}

/** Reads `symbols|positions|buys|sells|history|atMs|pendingValidMs`, each as `DeskKeys` says. */
function parseSummary(text: string): DeskSummary {
  const [symbols = "", positions = "", buys = "", sells = "", history = "", at, valid] =
    text.split("|");
  const stands = positions.split(" ");
  const holdings: DeskSummary["holdings"][number][] = [];
  const buyTriggers: WaitingTrigger[] = [];
  const sellTriggers: WaitingTrigger[] = [];
  let reservedCents = 0;
  for (const [index, symbol] of symbols.split(" ").entries()) {
    const { shares, reservedShares, ...set } = parsePosition(stands[index] ?? "");
    const { buyCents: buy, buyPriceCents: buyPrice } = set;
    const { sellCents: sell, sellPriceCents: sellPrice } = set;
    if (shares > 0 || reservedShares > 0) holdings.push({ symbol, shares, reservedShares });
    // A price of zero is none.
    const priced = (amountCents: number, price: number) => ({
      ...{ symbol, amountCents },
      priceCents: price > 0 ? price : null,
    });
    if (buy > 0) buyTriggers.push(priced(buy, buyPrice));
    if (sell > 0) sellTriggers.push({ ...priced(sell, sellPrice), shares: reservedShares });
    reservedCents += buy;
  }
  const pending = (orders: string): PendingOrder[] =>
    parseOrders(orders).flatMap(({ symbol, shares, priceCents, atMs }) => {
      const expiresAtMs = atMs + Number(valid);
      return expiresAtMs <= Number(at) ? [] : [{ symbol, shares, priceCents, expiresAtMs }];
    });
  return {
    reservedCents,
    holdings,
    pendingBuys: pending(buys),
    pendingSells: pending(sells),
    buyTriggers,
    sellTriggers,
    history: rowsOf(history)
      .slice(0, SHOWN_HISTORY)
      .map(([transaction, code = "", symbol = "", ...rest]) => {
        const [cents = 0, shares = 0, atMs = 0] = rest.map(Number);
        const command = HISTORY_NAMES.get(code) ?? code;
        const of = symbol === "" ? null : symbol;
        return { transaction: Number(transaction), command, symbol: of, cents, shares, atMs };
      }),
  };
}

function rowsOf(text: string): string[][] {
  return text
    .split(";")
    .slice(0, -1)
    .map((row) => row.split(","));
}
