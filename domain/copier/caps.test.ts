import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_AMOUNT_CENTS } from "../money.ts";
import type { CopyPlan } from "./plan.ts";
import { formatUsage } from "../../tests/support/usage-model.ts";
import { brokenCap, DAY_MS, dayOf, parseUsage, type Usage } from "./caps.ts";

const count = fc.nat({ max: 1_000_000 });
const cents = fc.integer({ min: 0, max: MAX_AMOUNT_CENTS });
const usage: fc.Arbitrary<Usage> = fc.record({
  day: count,
  stakedCents: cents,
  open: count,
  lossCents: fc.integer({ min: -MAX_AMOUNT_CENTS, max: MAX_AMOUNT_CENTS }),
  revision: count,
});

describe("usage as a text", () => {
  test("is read as it was written, gains too", () => {
    fc.assert(
      fc.property(usage, (used) => {
        expect(parseUsage(formatUsage(used))).toEqual(used);
      }),
    );
  });

  test("has the form that is stored, and the empty text is nothing used", () => {
    const used = { day: 20_000, stakedCents: 300, open: 2, lossCents: -50, revision: 7 };
    expect(formatUsage(used)).toBe("20000,300,2,-50,7");
    expect(Object.values(parseUsage(""))).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("a day", () => {
  test("is one of UTC, from its first millisecond to its last", () => {
    expect(dayOf(Date.UTC(1970, 0, 1))).toBe(0);
    expect(dayOf(Date.UTC(2026, 10, 28) - 1)).toBe(dayOf(Date.UTC(2026, 10, 28)) - 1);
    expect(dayOf(Date.UTC(2026, 10, 28) + DAY_MS - 1)).toBe(dayOf(Date.UTC(2026, 10, 28)));
  });

  test("counts its own stakes and losses, and not those of a day before", () => {
    const used: Usage = { day: 5, stakedCents: 100, open: 1, lossCents: 100, revision: 1 };
    expect(brokenCap({ maxDayStakeCents: 100 }, used, 1, 5)).toBe("DAY_CAP");
    expect(brokenCap({ maxDayLossCents: 100 }, used, 1, 5)).toBe("DAY_LOSS");
    expect(brokenCap({ maxDayStakeCents: 100, maxDayLossCents: 1 }, used, 100, 6)).toBeUndefined();
    expect(brokenCap({ maxOpen: 1 }, used, 1, 6)).toBe("OPEN_CAP");
  });

  test("never comes back: a slow clock finds today's usage", () => {
    const used: Usage = { day: 5, stakedCents: 100, open: 1, lossCents: 100, revision: 1 };
    expect(brokenCap({ maxDayStakeCents: 100 }, used, 1, 4)).toBe("DAY_CAP");
    expect(brokenCap({ maxDayLossCents: 100 }, used, 1, 4)).toBe("DAY_LOSS");
  });
});

describe("a cap", () => {
  const broken = (plan: CopyPlan, on: Usage, stakeCents: number) =>
    brokenCap(plan, on, stakeCents, on.day);
  const used: Usage = { day: 1, stakedCents: 200, open: 2, lossCents: 50, revision: 1 };

  test("is broken by what exceeds a day's stakes, and by what comes once positions or losses are reached", () => {
    expect(broken({ maxDayStakeCents: 300 }, used, 100)).toBeUndefined();
    expect(broken({ maxDayStakeCents: 300 }, used, 101)).toBe("DAY_CAP");
    expect(broken({ maxOpen: 3 }, used, 1)).toBeUndefined();
    expect(broken({ maxOpen: 2 }, used, 1)).toBe("OPEN_CAP");
    expect(broken({ maxDayLossCents: 51 }, used, 1)).toBeUndefined();
    expect(broken({ maxDayLossCents: 50 }, used, 1)).toBe("DAY_LOSS");
  });

  test("of zero lets nothing through, and none lets everything through", () => {
    const fresh = parseUsage("");
    expect(broken({ maxDayStakeCents: 0 }, fresh, 1)).toBe("DAY_CAP");
    expect(broken({ maxOpen: 0 }, fresh, 1)).toBe("OPEN_CAP");
    expect(broken({ maxDayLossCents: 0 }, fresh, 1)).toBe("DAY_LOSS");
    fc.assert(
      fc.property(usage, cents, (any, stakeCents) => {
        expect(broken({}, any, stakeCents)).toBeUndefined();
      }),
    );
  });

  test("on losses stays unbroken on a day of gains", () => {
    expect(broken({ maxDayLossCents: 1 }, { ...used, lossCents: -50 }, 1)).toBeUndefined();
  });

  test("that holds goes on holding with a stake that is smaller", () => {
    const plan = { maxDayStakeCents: 1_000, maxOpen: 3, maxDayLossCents: 100 };
    fc.assert(
      fc.property(usage, fc.integer({ min: 1, max: 2_000 }), (any, stakeCents) => {
        if (broken(plan, any, stakeCents) === undefined) {
          expect(broken(plan, any, stakeCents - 1)).toBeUndefined();
        }
      }),
    );
  });
});
