import { expect, test } from "bun:test";
import { Latencies } from "./latencies.ts";

test("a quantile is at most one per cent above the real latency", () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1_000; ms += 1) latencies.add(ms);
  for (const [share, ms] of [
    [0.5, 500],
    [0.99, 990],
    [1, 1_000],
  ] as const) {
    expect(latencies.quantileMs(share)).toBeGreaterThanOrEqual(ms);
    expect(latencies.quantileMs(share)).toBeLessThanOrEqual(ms * 1.0101);
  }
});

test("a quantile of nothing is zero, and a latency above the largest step counts as the largest", () => {
  const latencies = new Latencies();
  expect(latencies.quantileMs(0.99)).toBe(0);
  latencies.add(1e9);
  expect(latencies.quantileMs(0.99)).toBeGreaterThan(400_000);
});
