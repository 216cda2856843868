import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatCents,
  formatMicros,
  isAmountCents,
  MAX_AMOUNT_CENTS,
  parseCents,
  parseMicros,
  shareOf,
} from "./money.ts";

const amount = fc.integer({ min: 1, max: MAX_AMOUNT_CENTS });

describe("an amount", () => {
  test("is a whole number above zero, up to the largest amount", () => {
    expect([1, 500, MAX_AMOUNT_CENTS].every(isAmountCents)).toBe(true);
    const none = [0, -1, 0.5, MAX_AMOUNT_CENTS + 1, Number.NaN, Number.POSITIVE_INFINITY];
    expect(none.some(isAmountCents)).toBe(false);
  });

  test("that is written is read as the same amount", () => {
    fc.assert(
      fc.property(amount, (cents) => {
        expect(parseCents(formatCents(cents))).toBe(cents);
      }),
    );
  });

  test.each([
    ["5", 500],
    ["5.1", 510],
    ["5.10", 510],
    ["0.01", 1],
    ["10000000000.00", MAX_AMOUNT_CENTS],
  ])("%p is %d cents", (text, cents) => {
    expect(parseCents(text)).toBe(cents);
  });

  test.each(["", "0", "0.00", "-5", "+5", " 5", "5 ", "5.", ".5", "5.001", "5,00", "1e3", "0x10"])(
    "%p is none",
    (text) => {
      expect(parseCents(text)).toBeUndefined();
    },
  );

  test("above the largest, or beyond what a number holds exactly, is none", () => {
    for (const text of ["10000000000.01", "999999999999999", "9".repeat(40)]) {
      expect(parseCents(text)).toBeUndefined();
    }
  });

  test("is written with its sign and two decimals", () => {
    expect([0, 5, 12_345, -5, -12_345].map(formatCents)).toEqual([
      "0.00",
      "0.05",
      "123.45",
      "-0.05",
      "-123.45",
    ]);
  });
});

describe("a price", () => {
  test("that is written is read as the same price", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (micros) => {
        expect(parseMicros(formatMicros(micros))).toBe(micros);
      }),
    );
  });

  test("has up to six decimals and is above zero, never rounded", () => {
    expect(parseMicros("1.08423")).toBe(1_084_230);
    expect(parseMicros("0.000001")).toBe(1);
    for (const text of ["0", "0.0000001", "1.0842301", "-1", "9007199254.740992"]) {
      expect(parseMicros(text)).toBeUndefined();
    }
  });
});

describe("a share of an amount", () => {
  test("is exact over the whole range, and rounded down", () => {
    fc.assert(
      fc.property(amount, fc.integer({ min: 0, max: 10_000_000 }), (cents, shareBp) => {
        const exact = (BigInt(cents) * BigInt(shareBp)) / 10_000n;
        expect(BigInt(shareOf(cents, shareBp))).toBe(exact);
      }),
    );
    // Doubles would round this one up.
    expect(shareOf(999_999_999_999, 9_990_001)).toBe(999_000_099_999_000);
  });

  test("and the rest never come to more than the whole", () => {
    fc.assert(
      fc.property(amount, fc.integer({ min: 0, max: 10_000 }), (cents, shareBp) => {
        const both = shareOf(cents, shareBp) + shareOf(cents, 10_000 - shareBp);
        expect([cents, cents - 1]).toContain(both);
      }),
    );
  });
});
