/**
 * The prices of a run with one right answer, in the format of the simulated quote server. A symbol
 * that is not listed has no price.
 */
import { readFileSync } from "node:fs";

export type FixedPricesResult =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly fault: string };

const SYMBOL = /^[A-Z]{1,3}$/;
const PRICE = /^\d{1,9}\.\d\d$/;

/** Every symbol at this price. */
export function onePrice(price: string): FixedPricesResult {
  return isPrice(price)
    ? { ok: true, text: `*,${price}\n` }
    : { ok: false, fault: "--price takes a price above zero, such as 5.00" };
}

/** Lines `SYM,price`. */
export function readPrices(file: string): FixedPricesResult {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return { ok: false, fault: `${file} cannot be read ${code}`.trimEnd() };
  }
  const lines = text.split("\n").map((line) => line.trim());
  const wrong = lines.findIndex((line) => {
    const [symbol = "", price = "", ...rest] = line.split(",");
    return line !== "" && !(SYMBOL.test(symbol) && isPrice(price) && rest.length === 0);
  });
  if (wrong >= 0) return { ok: false, fault: `${file}: line ${wrong + 1} is not SYM,price` };
  return { ok: true, text: [...lines.filter((line) => line !== ""), "*,-", ""].join("\n") };
}

function isPrice(text: string): boolean {
  return PRICE.test(text) && Number(text) > 0;
}
