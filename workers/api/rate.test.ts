import { expect, test } from "bun:test";
import { createRate } from "./rate.ts";

test("a name has its number of attempts within the window, and others have their own", () => {
  let nowMs = 0;
  const rate = createRate({ max: 2, windowMs: 1_000, maxNames: 10 }, () => nowMs);
  expect([rate.take("a"), rate.take("a"), rate.take("a"), rate.take("b")]).toEqual([
    true,
    true,
    false,
    true,
  ]);
  nowMs = 999;
  expect(rate.take("a")).toBe(false);
  nowMs = 1_000;
  expect(rate.take("a")).toBe(true);
});

test("a name that is dropped starts again at zero, and no more names are stored than the limit", () => {
  const rate = createRate({ max: 1, windowMs: 1_000, maxNames: 2 }, () => 0);
  expect([rate.take("a"), rate.take("a")]).toEqual([true, false]);
  rate.forget("a");
  expect(rate.take("a")).toBe(true);
  expect([rate.take("b"), rate.take("c"), rate.take("a")]).toEqual([true, true, true]);
});
