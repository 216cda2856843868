import { expect, test } from "bun:test";
import fc from "fast-check";
import { asId, signalIdIn, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import { packOutcomes, unpackOutcomes, type CopyOutcome, type OutcomesEvent } from "./events.ts";

test("packed outcomes tell of each copy what they were packed of, whatever is among them", () => {
  // Few values each, so that equal terms meet.
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
        ...{ broker: "desk", shard: 0, acceptedAtMs: 1, dispatchedAtMs: 2, decidedAtMs: 3 },
        ...{ sentAtMs: null, answeredAtMs: null },
        copies,
      };
      const told = unpackOutcomes(JSON.parse(JSON.stringify(packOutcomes(event))));
      const bySubscription = (all: readonly CopyOutcome[]) =>
        all.toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(bySubscription(told.copies)).toEqual(bySubscription(copies));
      expect<OutcomesEvent>({ ...told, copies }).toEqual(event);
    }),
  );
});
