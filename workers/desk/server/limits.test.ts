/** What one user may cost a desk server, by a clock that the test sets. */
import { expect, test } from "bun:test";
import { UserLimits } from "./limits.ts";

let nowMs = 0;
const limits = () => new UserLimits({ linesPerSecond: 10, now: () => nowMs });
const count = (times: number, allows: () => boolean): number =>
  Array.from({ length: times }, allows).filter(Boolean).length;

test("a user's lines are accepted up to the rate, in bursts of some seconds, and other users' independently", () => {
  const own = limits();
  expect(count(1_000, () => own.allowsLine("alice"))).toBe(40);
  expect(count(1_000, () => own.allowsLine("bob"))).toBe(40);
  nowMs += 3_999;
  expect(own.allowsLine("alice")).toBe(false);
  nowMs += 1;
  expect(count(1_000, () => own.allowsLine("alice"))).toBe(40);
});

test("a hundred refused lines of a user in a minute are audited", () => {
  const own = limits();
  expect(count(1_000, () => own.auditsRefusal("alice"))).toBe(100);
  expect(own.auditsRefusal("bob")).toBe(true);
  nowMs += 60_000;
  expect(count(1_000, () => own.auditsRefusal("alice"))).toBe(100);
});
