import { expect, test } from "bun:test";
import * as v from "valibot";
import { amount, id, symbol, text, time, visible, wholeNumber } from "./field.ts";

test("each field takes exactly the documented values", () => {
  for (const [field, taken, refused] of [
    [wholeNumber(1, 3), [1, 3], [0, 4, 1.5, "1", Number.NaN, null]],
    [amount, [1, 1e12], [0, 1e12 + 1, 0.5]],
    [time, [1, 253_402_300_799_999], [0, 253_402_300_800_000]],
    [id, ["a", "constructor", "A_b-9"], ["", "a b", "a/b", "ä", "a".repeat(65)]],
    [symbol, ["EUR/USD", "R_100"], ["eur/usd", "EUR/", ""]],
    [text(3), ["abc"], ["", "abcd", 1]],
    [visible(3), ["a~!"], ["", "a b", "abcd", "é"]],
  ] as const) {
    for (const value of taken) expect(v.is(field as v.GenericSchema, value)).toBe(true);
    for (const value of refused) expect(v.is(field as v.GenericSchema, value)).toBe(false);
  }
});
