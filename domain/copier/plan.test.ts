import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { acceptedOpen } from "../../tests/support/signals.ts";
import { MAX_AMOUNT_CENTS } from "../money.ts";
import {
  brokerSymbol,
  copiedContract,
  isCapped,
  oldestAtMs,
  stakeOf,
  type CopyPlan,
  type Sizing,
} from "./plan.ts";

const cents = fc.integer({ min: 1, max: MAX_AMOUNT_CENTS });
const bp = fc.integer({ min: 1, max: 1_000_000 });
const sizing: fc.Arbitrary<Sizing> = fc.oneof(
  cents.map((stakeCents) => ({ kind: "fixed" as const, stakeCents })),
  bp.map((multiplierBp) => ({ kind: "multiplier" as const, multiplierBp })),
  fc.integer({ min: 1, max: 10_000 }).map((shareBp) => ({ kind: "balance" as const, shareBp })),
);

describe("a stake", () => {
  test("is a whole amount within the cap of one order and the largest amount, for any input", () => {
    fc.assert(
      fc.property(sizing, fc.option(cents), cents, cents, (size, cap, provider, balance) => {
        const plan: CopyPlan = cap === null ? {} : { maxStakeCents: cap };
        const stake = stakeOf(plan, size, provider, balance);
        expect(Number.isSafeInteger(stake)).toBe(true);
        expect(stake).toBeGreaterThanOrEqual(0);
        expect(stake).toBeLessThanOrEqual(Math.min(cap ?? MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS));
      }),
    );
  });

  test("of a share of the balance is never above the balance, and nothing of nothing", () => {
    const share = fc.integer({ min: 1, max: 10_000 });
    fc.assert(
      fc.property(share, fc.oneof(cents, fc.constant(0)), (shareBp, balance) => {
        const stake = stakeOf({}, { kind: "balance", shareBp }, 1, balance);
        expect(stake).toBeLessThanOrEqual(balance);
      }),
    );
    expect(stakeOf({}, { kind: "balance", shareBp: 10_000 }, 1, 0)).toBe(0);
  });

  test("of a fixed size depends on neither the provider nor the balance", () => {
    fc.assert(
      fc.property(cents, cents, cents, (stakeCents, provider, balance) => {
        expect(stakeOf({}, { kind: "fixed", stakeCents }, provider, balance)).toBe(stakeCents);
      }),
    );
  });
});

describe("the broker's symbol", () => {
  test("is the mapped symbol, or else the channel's own", () => {
    const plan = { symbolMap: { "EUR/USD": "EURUSD" } };
    expect(brokerSymbol(plan, "EUR/USD")).toBe("EURUSD");
    expect(brokerSymbol(plan, "GBP/USD")).toBe("GBP/USD");
    expect(brokerSymbol({}, "EUR/USD")).toBe("EUR/USD");
  });

  test("is never an inherited property of objects", () => {
    for (const symbol of ["constructor", "toString", "__proto__"]) {
      expect(brokerSymbol({ symbolMap: {} }, symbol)).toBe(symbol);
    }
  });
});

test("a contract is reversed if the plan says so, and reversed twice it is the same again", () => {
  expect(copiedContract({}, "CALL")).toBe("CALL");
  expect(copiedContract({ reverse: false }, "PUT")).toBe("PUT");
  expect(copiedContract({ reverse: true }, "CALL")).toBe("PUT");
  expect(copiedContract({ reverse: true }, copiedContract({ reverse: true }, "PUT"))).toBe("PUT");
});

test("copies are counted if any cap needs the count, also a cap of zero", () => {
  for (const cap of ["maxDayStakeCents", "maxOpen", "maxDayLossCents"] as const) {
    expect(isCapped({ [cap]: 0 })).toBe(true);
  }
  expect(isCapped({ maxStakeCents: 1, maxAgeMs: 1 })).toBe(false);
});

describe("the last moment of a copy", () => {
  const signal = acceptedOpen({ acceptedAtMs: 1_000_000, durationSeconds: 60 });

  test("is that of the stricter of age and share of the duration", () => {
    expect(oldestAtMs({ maxAgeMs: 400 }, signal)).toBe(1_000_400);
    expect(oldestAtMs({ maxAgeShareBp: 100 }, signal)).toBe(1_000_600);
    expect(oldestAtMs({ maxAgeMs: 400, maxAgeShareBp: 100 }, signal)).toBe(1_000_400);
    expect(oldestAtMs({ maxAgeMs: 700, maxAgeShareBp: 100 }, signal)).toBe(1_000_600);
    expect(oldestAtMs({ maxAgeMs: 0 }, signal)).toBe(1_000_000);
  });

  test("is not set by a plan without an age", () => {
    expect(oldestAtMs({}, signal)).toBeUndefined();
  });
});
