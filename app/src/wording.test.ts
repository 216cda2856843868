import { expect, test } from "bun:test";
import { count, dollars, duration, gain, moment } from "./wording.ts";

test("money is exact, grouped and signed", () => {
  expect(dollars(5)).toBe("$0.05");
  expect(dollars(123_456_789)).toBe("$1,234,567.89");
  expect(dollars(100_000_000_000_000)).toBe("$1,000,000,000,000.00");
  expect(gain(-1_500)).toBe("−$15.00");
  expect(gain(255_000)).toBe("+$2,550.00");
  expect(gain(0)).toBe("$0.00");
});

test("counts are grouped and durations named by their units", () => {
  expect(count(100_000)).toBe("100,000");
  expect([10, 60, 90, 300, 3_600, 86_400].map(duration)).toEqual([
    "10 s",
    "1 min",
    "1 min 30 s",
    "5 min",
    "1 h",
    "24 h",
  ]);
});

test("the day is told only where it is not today", () => {
  const now = Date.parse("2026-05-04T12:00:00");
  expect(moment(Date.parse("2026-05-04T09:08:07"), now)).toBe("09:08:07");
  expect(moment(Date.parse("2026-05-03T09:08:07"), now)).toBe("3 May, 09:08:07");
});
