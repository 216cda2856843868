import { expect, test } from "bun:test";
import { fairnessOf } from "../domain/fairness.ts";
import { asId, type SubscriptionId } from "../domain/ids.ts";
import { SHARD_SIZE } from "./roster.ts";
import { rotate } from "./route.ts";

const SHARD = Array.from({ length: SHARD_SIZE }, (_, n) => asId<SubscriptionId>(`sub-${n}`));

test("a full shard's order evens out within fifty signals, wherever they begin (P8)", () => {
  for (const first of [1, 1_000, 1_000_000]) {
    const served = Array.from({ length: 50 }, (_, n) => rotate(SHARD, first + n));
    expect(fairnessOf(served).dispersion).toBeLessThan(0.1);
    expect(served.every((each) => each.length === SHARD_SIZE)).toBe(true);
  }
  expect(rotate([], 7)).toEqual([]);
});
