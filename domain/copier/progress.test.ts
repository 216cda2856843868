import { expect, test } from "bun:test";
import { deriveStatus } from "./progress.ts";

const NONE = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };

test("a fan-out is complete once each follower has one of the four outcomes, an unknown one among them", () => {
  expect(deriveStatus({ ...NONE, followers: 4, placed: 3 })).toBe("running");
  for (const outcome of ["placed", "rejected", "skipped", "unknown"] as const) {
    expect(
      deriveStatus({ ...NONE, followers: 4, placed: 3, [outcome]: outcome === "placed" ? 4 : 1 }),
    ).toBe("complete");
  }
  expect(deriveStatus({ ...NONE, followers: 0 })).toBe("complete");
});
