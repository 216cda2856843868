import { beforeEach, expect, test } from "bun:test";
import type { Clock } from "../../runtime/clock.ts";
import { Reach } from "./reach.ts";

/** Time that passes only while code waits for it. */
let nowMs = 0;
const clock: Clock = {
  nowMs: () => nowMs,
  async sleep(ms) {
    // An immediate answer comes before any time passes.
    await new Promise(setImmediate);
    nowMs += ms;
  },
};

let reach: Reach;
let calls = 0;
beforeEach(() => {
  nowMs = 1_000_000;
  calls = 0;
  reach = new Reach(clock);
});

const answers = async (): Promise<string> => {
  calls += 1;
  return "answer";
};
const hangs = (): Promise<string> => {
  calls += 1;
  return new Promise(() => {});
};
const messageOf = async (call: Promise<unknown>): Promise<string> =>
  await call.then(
    () => "answered",
    (error: unknown) => (error as Error).message,
  );

test("a call that is answered in time is answered", async () => {
  expect(await reach.call("local", answers)).toBe("answer");
});

test("a call that fails does not affect the next one to the region", async () => {
  const fails = () => Promise.reject(new Error("WRONGTYPE"));
  expect(await messageOf(reach.call("local", fails))).toBe("WRONGTYPE");
  expect(await reach.call("local", answers)).toBe("answer");
});

test("a call that hangs ends at the limit, and its region is not called for a moment", async () => {
  expect(await messageOf(reach.call("local", hangs))).toBe("the region did not answer in time");
  expect(calls).toBe(1);
  expect(await messageOf(reach.call("local", answers))).toBe("the region is away");
  expect(calls).toBe(1);
  nowMs += 1_000;
  expect(await reach.call("local", answers)).toBe("answer");
});

test("a region that is away does not delay calls to another", async () => {
  await messageOf(reach.call("far", hangs));
  expect(await reach.call("local", answers)).toBe("answer");
});
