import { expect, test } from "bun:test";
import { SYMBOL_PATTERN } from "./instrument.ts";

test.each(["EUR/USD", "R_100", "AAPL", "A", "ABCDEFGHIJKL/ABCDEFGHIJKL"])(
  "%p is a symbol",
  (text) => {
    expect(SYMBOL_PATTERN.test(text)).toBe(true);
  },
);

// Symbols are used in members and lists that are split at spaces, slashes, semicolons and equals
// signs.
test.each([
  "",
  "eur/usd",
  "EUR/",
  "/USD",
  "EUR/USD/X",
  "ABCDEFGHIJKLM",
  "EUR USD",
  "A;B",
  "A=1",
  "A\n",
])("%p is none", (text) => {
  expect(SYMBOL_PATTERN.test(text)).toBe(false);
});
