import { expect, test } from "bun:test";
import { fairnessOf, rotate } from "./fairness.ts";
import { asId, type SubscriptionId } from "../ids.ts";

const ALL = Array.from({ length: 100 }, (_, n) => asId<SubscriptionId>(`sub-${n}`));
const from = (start: number) => [...ALL.slice(start), ...ALL.slice(0, start)];

test("an order that never changes is as uneven as can be, and gives each the same turn each time", () => {
  const { dispersion, followers } = fairnessOf(Array.from({ length: 50 }, () => ALL));
  expect(dispersion).toBeCloseTo(1, 1);
  expect(followers.every(({ spread }) => spread < 1e-6)).toBe(true);
  expect(followers[0]).toMatchObject({ subscription: "sub-0", signals: 50, meanRank: 0 });
});

test("an order that goes all the way round is even, and gives each every turn", () => {
  const { dispersion, followers } = fairnessOf(ALL.map((_, start) => from(start)));
  expect(dispersion).toBeCloseTo(0, 6);
  for (const { meanRank, spread } of followers) {
    expect(meanRank).toBeCloseTo(0.5, 6);
    expect(spread).toBeCloseTo(0.29, 2);
  }
});

test("an order that starts one further each time is not even before it has gone round", () => {
  const { dispersion } = fairnessOf(Array.from({ length: 10 }, (_, start) => from(start)));
  expect(dispersion).toBeGreaterThan(0.5);
});

test("nothing, and a signal of one, are even", () => {
  expect(fairnessOf([])).toEqual({ followers: [], dispersion: 0 });
  expect(fairnessOf([ALL.slice(0, 1)]).followers[0]?.meanRank).toBe(0.5);
});

test("those who are served at the same moment have the same rank, and all at once is even", () => {
  const { followers } = fairnessOf([[ALL.slice(0, 50), ALL.slice(50)]]);
  expect(new Set(followers.slice(0, 50).map(({ meanRank }) => meanRank)).size).toBe(1);
  expect(followers[0]?.meanRank).toBeCloseTo(0.25, 2);
  expect(followers[99]?.meanRank).toBeCloseTo(0.75, 2);
  const { dispersion } = fairnessOf([[ALL]]);
  expect(dispersion).toBe(0);
});

/** As many as a shard of a roster holds. */
const SHARD = Array.from({ length: 512 }, (_, n) => asId<SubscriptionId>(`sub-${n}`));

test("a full shard's order evens out within fifty signals, wherever they begin (P8)", () => {
  for (const first of [1, 1_000, 1_000_000]) {
    const served = Array.from({ length: 50 }, (_, n) => rotate(SHARD, first + n));
    expect(fairnessOf(served).dispersion).toBeLessThan(0.1);
    expect(served.every((each) => each.length === SHARD.length)).toBe(true);
  }
  expect(rotate([], 7)).toEqual([]);
});
