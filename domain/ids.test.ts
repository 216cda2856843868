import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  asId,
  clientOrderId,
  homePartitionOf,
  isSignalId,
  signalIdIn,
  type AccountId,
  type SubscriptionId,
} from "./ids.ts";

const RANDOM = "0123456789abcdef0123456789abcdef";

describe("an id", () => {
  test("is 1 to 64 letters, digits, underscores and dashes", () => {
    for (const text of ["a", "A-z_9", "x".repeat(64)])
      expect(asId<AccountId>(text) as string).toBe(text);
  });

  test.each(["", "x".repeat(65), "a b", "a:b", "a.b", "a/b", "{1}", "é", "a\n", "\na", "a\0"])(
    "%p is none: it could change a key, a URL or a client order id",
    (text) => {
      expect(() => asId(text)).toThrow(TypeError);
    },
  );
});

describe("a signal's id", () => {
  test("names its home partition, for as many as there can be", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 36 ** 3 - 1 }), (partition) => {
        const id = signalIdIn(partition, RANDOM);
        expect(isSignalId(id)).toBe(true);
        expect(homePartitionOf(id)).toBe(partition);
      }),
    );
  });

  test("of today's form stays readable while any data contain one", () => {
    expect(signalIdIn(71, RANDOM) as string).toBe(`s1z_${RANDOM}`);
  });

  test.each([
    RANDOM,
    `s_${RANDOM}`,
    `s1Z_${RANDOM}`,
    `s1234_${RANDOM}`,
    `s1_${RANDOM}0`,
    `s1_${RANDOM.slice(1)}`,
    `s1_${RANDOM.toUpperCase()}`,
    ` s1_${RANDOM}`,
    `s1_${RANDOM}\n`,
  ])("%p is none", (text) => {
    expect(isSignalId(text)).toBe(false);
  });
});

test("a client order id is the same at every attempt, and differs by signal and subscription", () => {
  const [one, two] = [asId<SubscriptionId>("sub-1"), asId<SubscriptionId>("sub-2")];
  const [first, second] = [signalIdIn(0, RANDOM), signalIdIn(1, RANDOM)];
  expect(clientOrderId(first, one)).toBe(clientOrderId(first, one));
  const all = [first, second].flatMap((signal) =>
    [one, two].map((subscription) => clientOrderId(signal, subscription)),
  );
  expect(new Set(all).size).toBe(4);
  expect(all[0] as string).toBe(`s0_${RANDOM}.sub-1`);
});
