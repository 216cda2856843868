import { expect, test } from "bun:test";
import { priceMicrosAt, STREAMED_SYMBOLS, walkOf } from "./walk.ts";

const START = 8_900_000_000;
const steps = Array.from({ length: 2_000 }, (_, index) => START + index);

test("the same seed gives the same walk on every machine", () => {
  const prices = [0, 1, START].map((step) => priceMicrosAt(1, "EUR/USD", step));
  expect(prices).toEqual([1_074_930, 1_074_950, 1_087_200]);
  expect(priceMicrosAt(1, "ABC", START)).toBe(14_520_000);
});

test("another seed or another symbol gives another walk", () => {
  const walk = (seed: number, symbol: string): number[] =>
    steps.map((step) => priceMicrosAt(seed, symbol, step));
  expect(walk(1, "ABC")).not.toEqual(walk(2, "ABC"));
  expect(walk(1, "ABC")).not.toEqual(walk(1, "ABD"));
});

test.each([...STREAMED_SYMBOLS, "A", "ZZZ"])(
  "%s moves at nearly every step, and only a little",
  (symbol) => {
    const { tickMicros, startMicros, stepShare } = walkOf(7, symbol);
    const moves = steps.map(
      (step) => priceMicrosAt(7, symbol, step + 1) - priceMicrosAt(7, symbol, step),
    );
    expect(moves.filter((move) => move === 0).length).toBeLessThan(steps.length / 5);
    expect(Math.max(...moves.map(Math.abs))).toBeLessThan(startMicros * stepShare * 10);
    expect(moves.every((move) => move % tickMicros === 0)).toBe(true);
  },
);

test("no price falls to zero, however long the walk", () => {
  for (let step = 0; step < 20_000; step += 1) {
    expect(priceMicrosAt(3, "ABC", step * 65_521)).toBeGreaterThan(0);
  }
});
