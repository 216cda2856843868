import { expect, test } from "bun:test";
import fc from "fast-check";
import { asId, signalIdIn, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";
import { packEvent } from "../../../tests/support/copies.ts";
import {
  packClosures,
  unpackClosures,
  unpackOutcomes,
  type ClosuresEvent,
  type CopyClosure,
  type CopyOutcome,
  type OutcomesEvent,
} from "./events.ts";

test("packed outcomes give back the same outcome for each copy, in any mixture", () => {
  // Few values each, so that equal terms occur.
  const few = fc.integer({ min: 0, max: 2 });
  const stakeCents = fc.integer({ min: 1, max: 1_000_000_000_000 });
  const outcome: fc.Arbitrary<Outcome> = fc.oneof(
    fc.record({
      kind: fc.constant("placed" as const),
      stakeCents,
      openPriceMicros: few,
      openedAtMs: few,
      expiresAtMs: few,
    }),
    fc.record({
      kind: fc.constant("rejected" as const),
      stakeCents,
      reason: fc.constant("REFUSED" as const),
    }),
    fc.record({ kind: fc.constant("skipped" as const), reason: fc.constant("PAUSED" as const) }),
    fc.record({ kind: fc.constant("unknown" as const), stakeCents }),
  );
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 30 }), (outcomes) => {
      const copies = outcomes.map((each, index): CopyOutcome => [
        asId<SubscriptionId>(`s-${index}`),
        asId<AccountId>(`a-${index}`),
        each,
      ]);
      const event: OutcomesEvent = {
        kind: "outcomes",
        signal: signalIdIn(0, "0".repeat(32)),
        broker: "desk",
        shard: 0,
        acceptedAtMs: 1,
        dispatchedAtMs: 2,
        decidedAtMs: 3,
        sentAtMs: null,
        answeredAtMs: null,
        copies,
      };
      const unpacked = unpackOutcomes(JSON.parse(JSON.stringify(packEvent(event))));
      const bySubscription = (all: readonly CopyOutcome[]) =>
        all.toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(bySubscription(unpacked.copies)).toEqual(bySubscription(copies));
      expect<OutcomesEvent>({ ...unpacked, copies }).toEqual(event);
    }),
  );
});

test("packed closures give back the same outcome for each copy, in any mixture", () => {
  const few = fc.integer({ min: 0, max: 2 });
  const cents = fc.integer({ min: 0, max: 1_000_000_000_000 });
  const outcome: fc.Arbitrary<CloseOutcome> = fc.oneof(
    fc.record({
      kind: fc.constant("closed" as const),
      stakeCents: cents,
      returnCents: cents,
      closePriceMicros: few,
      closedAtMs: few,
    }),
    fc.record({ kind: fc.constant("skipped" as const), reason: fc.constant("NOT_OPEN" as const) }),
    fc.record({ kind: fc.constant("unknown" as const), stakeCents: cents }),
  );
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 30 }), (outcomes) => {
      const event: ClosuresEvent = {
        kind: "closures",
        signal: signalIdIn(0, "1".repeat(32)),
        of: signalIdIn(0, "0".repeat(32)),
        broker: "desk",
        shard: 0,
        acceptedAtMs: 1,
        dispatchedAtMs: 2,
        decidedAtMs: 3,
        sentAtMs: null,
        answeredAtMs: null,
        copies: outcomes.map((each, index): CopyClosure => [
          asId<SubscriptionId>(`s-${index}`),
          asId<AccountId>(`a-${index}`),
          each,
        ]),
      };
      const unpacked = unpackClosures(JSON.parse(JSON.stringify(packClosures(event))));
      const bySubscription = (all: readonly CopyClosure[]) =>
        all.toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(bySubscription(unpacked.copies)).toEqual(bySubscription(event.copies));
      expect<ClosuresEvent>({ ...unpacked, copies: event.copies }).toEqual(event);
    }),
  );
});

test("copies that were placed on the same terms, as nearly all of a shard are, have them once", () => {
  const placed: Outcome = {
    kind: "placed",
    stakeCents: 100,
    openPriceMicros: 5,
    openedAtMs: 6,
    expiresAtMs: 7,
  };
  const event: OutcomesEvent = {
    kind: "outcomes",
    signal: signalIdIn(0, "0".repeat(32)),
    broker: "desk",
    shard: 0,
    acceptedAtMs: 1,
    dispatchedAtMs: 2,
    decidedAtMs: 3,
    sentAtMs: 4,
    answeredAtMs: 5,
    copies: Array.from({ length: 512 }, (_, index): CopyOutcome => [
      asId<SubscriptionId>(`s-${index}`),
      asId<AccountId>(`a-${index}`),
      placed,
    ]),
  };
  const packed = packEvent(event);
  expect(packed.copies).toEqual([]);
  expect(packed.placed).toHaveLength(1);
});
