import { expect, test } from "bun:test";
import { countOutcomes, OUTCOME_KINDS, type CloseOutcome, type Outcome } from "./outcome.ts";

const placed: Outcome = {
  kind: "placed",
  stakeCents: 100,
  openPriceMicros: 1,
  openedAtMs: 1,
  expiresAtMs: 2,
};
const rejected: Outcome = { kind: "rejected", stakeCents: 100, reason: "REFUSED" };
const skipped: Outcome = { kind: "skipped", reason: "PAUSED" };
const unknown: Outcome = { kind: "unknown", stakeCents: 100 };
const closed: CloseOutcome = {
  kind: "closed",
  stakeCents: 100,
  returnCents: 90,
  closePriceMicros: 1,
  closedAtMs: 1,
};

test("each copy counts once, under the way it ended", () => {
  const counts = countOutcomes([unknown, placed, skipped, placed, rejected, placed, skipped]);
  expect(counts).toEqual({ placed: 3, rejected: 1, skipped: 2, unknown: 1 });
});

test("a position that was closed counts as placed: the broker did what was asked for", () => {
  expect(countOutcomes([closed, skipped]).placed).toBe(1);
});

test("no copies are none of each kind", () => {
  const counts = countOutcomes([]);
  expect(Object.keys(counts).toSorted()).toEqual([...OUTCOME_KINDS].toSorted());
  expect(Object.values(counts)).toEqual([0, 0, 0, 0]);
});
