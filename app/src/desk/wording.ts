/** What a change of the account was, in a sentence. */
import type { AccountChange } from "../../../domain/desk/summary.ts";
import { count, dollars } from "../wording.ts";

export function changeWords({ command, symbol, cents, shares }: AccountChange): string {
  const what = `${count(shares)} ${symbol ?? ""}`;
  const money = dollars(cents);
  switch (command) {
    case "ADD":
      return `Added ${money}`;
    case "COMMIT_BUY":
      return `Bought ${what} for ${money}`;
    case "COMMIT_SELL":
      return `Sold ${what} for ${money}`;
    case "BOUGHT":
      return `A trigger bought ${what} for ${money}`;
    case "SOLD":
      return `A trigger sold ${what} for ${money}`;
    case "SET_BUY_AMOUNT":
      return `Reserved ${money} to buy ${symbol ?? ""}`;
    case "SET_BUY_TRIGGER":
      return `Set to buy ${symbol ?? ""} at or below ${money}`;
    case "CANCEL_SET_BUY":
      return `Took back ${money} set to buy ${symbol ?? ""}`;
    case "SET_SELL_AMOUNT":
      return `Set ${money} of ${symbol ?? ""} to be sold`;
    case "SET_SELL_TRIGGER":
      return `Reserved ${what} to sell at or above ${money}`;
    case "CANCEL_SET_SELL":
      return `Took back ${what} set to be sold`;
    default:
      return `${command} ${symbol ?? ""} ${money}`;
  }
}
