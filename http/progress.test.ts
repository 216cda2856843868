import { expect, test } from "bun:test";
import * as v from "valibot";
import { sumProgress } from "../redis/progress.ts";
import { ProgressShape } from "./progress.ts";

test("the progress of a fan-out matches its documented shape", () => {
  const stored = {
    signal: { id: "s0_1", acceptedAtMs: 1_000 } as never,
    routes: [],
    followers: 3,
  };
  for (const parts of [[], [["1", "0", "1", "1", "7", "9"]]]) {
    const progress = sumProgress(stored, parts);
    expect(v.parse(ProgressShape, progress)).toEqual(progress);
  }
  expect(sumProgress(stored, [["1", "0", "1", "1", "7", "9"]])).toEqual({
    id: "s0_1",
    status: "complete",
    counts: { followers: 3, placed: 1, rejected: 0, skipped: 1, unknown: 1 },
    timing: { acceptedAtMs: 1_000, firstMs: 7, lastMs: 9 },
  });
});
