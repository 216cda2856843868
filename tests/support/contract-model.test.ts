import { expect, test } from "bun:test";
import fc from "fast-check";
import { returnCents, saleCents, saleShareBp, settle } from "./contract-model.ts";

const whole = fc.record({
  durationMs: fc.integer({ min: 1, max: 86_400_000 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("a call wins by a strict rise and a put by a strict fall; a standstill loses both", () => {
  const ends = (open: number, close: number) => [
    settle("CALL", open, close),
    settle("PUT", open, close),
  ];
  expect(ends(1_000_000, 1_000_001)).toEqual(["won", "lost"]);
  expect(ends(1_000_000, 999_999)).toEqual(["lost", "won"]);
  expect(ends(1_000_000, 1_000_000)).toEqual(["lost", "lost"]);
});

test("a win returns stake and payout, rounded down, a loss nothing, a void contract its stake", () => {
  expect(returnCents("won", 333, 8_500)).toBe(616);
  expect(returnCents("lost", 333, 8_500)).toBe(0);
  expect(returnCents("void", 333, 8_500)).toBe(333);
});

test("a contract sells for half of a win's return at its start, and at its end for what it would settle at", () => {
  const contract = { stakeCents: 10_000, payoutBp: 8_500 };
  expect(saleCents(contract, true, 60_000, 60_000)).toBe(9_250);
  expect(saleCents(contract, false, 60_000, 60_000)).toBe(9_250);
  expect(saleCents(contract, true, 30_000, 60_000)).toBe(13_875);
  expect(saleCents(contract, false, 30_000, 60_000)).toBe(4_625);
  expect(saleCents(contract, true, 0, 60_000)).toBe(18_500);
  expect(saleCents(contract, false, 0, 60_000)).toBe(0);
});

test("in the money pays never less than out of it, both never more than a win, and each moves with the time", () => {
  fc.assert(
    fc.property(whole, ({ durationMs, share }) => {
      const leftMs = Math.floor(durationMs * share);
      const [inside, outside] = [true, false].map((isIn) => saleShareBp(isIn, leftMs, durationMs));
      expect(inside).toBeGreaterThanOrEqual(outside ?? 0);
      expect((inside ?? 0) + (outside ?? 0)).toBe(10_000);
      const earlierMs = Math.min(durationMs, leftMs + 1);
      expect(saleShareBp(true, earlierMs, durationMs)).toBeLessThanOrEqual(inside ?? 0);
    }),
  );
});

test("a sale of the largest amount is exact", () => {
  const contract = { stakeCents: 999_999_999_999, payoutBp: 8_500 };
  const won = BigInt(returnCents("won", contract.stakeCents, contract.payoutBp));
  expect(saleCents(contract, true, 1, 3)).toBe(Number((won * 8_334n) / 10_000n));
});
