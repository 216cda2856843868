import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isStricter, mergeStops, type Stop } from "./stop.ts";

function stop(state: Stop["state"], atMs: number, liftedAtMs = 0): Stop {
  return { state, atMs, liftedAtMs, by: `by-${state}-${atMs}`, owner: "*", why: "" };
}
const lifted = (atMs: number): Stop => stop("open", atMs, atMs);

describe("of two accounts of one stop", () => {
  test("the stricter holds, whichever is the newer", () => {
    expect(mergeStops(stop("drain", 9), stop("halt", 5))).toEqual(stop("halt", 5));
    expect(mergeStops(stop("halt", 5), stop("drain", 9))).toEqual(stop("halt", 5));
    expect(mergeStops(undefined, stop("drain", 5))).toEqual(stop("drain", 5));
  });

  test("a lift ends what was set before it, and nothing that was set after it", () => {
    expect(mergeStops(stop("halt", 5), lifted(6))).toEqual(lifted(6));
    expect(mergeStops(lifted(6), stop("halt", 5))).toEqual(lifted(6));
    expect(mergeStops(lifted(6), stop("halt", 7))).toEqual(stop("halt", 7, 6));
    expect(mergeStops(stop("halt", 5), stop("drain", 7, 6))).toEqual(stop("drain", 7, 6));
  });

  test("what only made a drain of a lost halt did not lift it", () => {
    expect(mergeStops(stop("halt", 5), stop("drain", 7))).toEqual(stop("halt", 5));
  });

  test("of equal ones the later is kept, as the earlier may be lifted already", () => {
    expect(mergeStops(mergeStops(stop("halt", 5), stop("halt", 8)), lifted(7))).toEqual(
      stop("halt", 8, 7),
    );
  });

  test.each(["halt", "drain"] as const)(
    "a %s comes to the same in any order, and again",
    (state) => {
      const anyStop = fc
        .tuple(fc.boolean(), fc.nat(8), fc.nat(8))
        .map(([isLift, lift, after]) => (isLift ? lifted(lift) : stop(state, lift + after, lift)));
      fc.assert(
        fc.property(fc.array(anyStop, { minLength: 1, maxLength: 6 }), fc.nat(), (all, turn) => {
          const told = (each: Stop | undefined) => [each?.state, each?.liftedAtMs];
          const merge = (some: readonly Stop[]) => {
            let merged: Stop | undefined;
            for (const each of some) merged = mergeStops(merged, each);
            return merged;
          };
          const at = turn % all.length;
          const turned = [...all.slice(at), ...all.slice(0, at)];
          expect(told(merge([...turned, ...turned]))).toEqual(told(merge(all)));
        }),
      );
    },
  );
});

test("a halt is stricter than a drain, and both than nothing", () => {
  expect(isStricter("halt", "drain")).toBe(true);
  expect(isStricter("drain", "open")).toBe(true);
  expect(isStricter("drain", "halt")).toBe(false);
  expect(isStricter("halt", "halt")).toBe(false);
});
