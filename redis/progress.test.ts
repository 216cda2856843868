import { describe, expect, test } from "bun:test";
import { acceptedOpen } from "../tests/support/signals.ts";
import { parseStoredSignal, sumProgress, type StoredSignal } from "./progress.ts";

const SIGNAL = acceptedOpen();
const stored = (followers: number): StoredSignal => ({ signal: SIGNAL, routes: [], followers });

describe("progress", () => {
  test("adds up all partitions, even if some have not begun", () => {
    const none = [null, null, null, null, null, null];
    const progress = sumProgress(stored(100), [
      ["3", "2", "1", "4", "25", "80"],
      none,
      ["10", null, "5", null, "12", "40"],
      none,
    ]);
    expect(progress.counts).toEqual({
      followers: 100,
      placed: 13,
      rejected: 2,
      skipped: 6,
      unknown: 4,
    });
    expect(progress).toMatchObject({ id: SIGNAL.id, status: "running" });
  });

  test("reports the first and the last answer of all partitions, and none before there is one", () => {
    const { timing } = sumProgress(stored(2), [
      ["1", "0", "0", "0", "25", "80"],
      ["1", "0", "0", "0", "0", "7"],
    ]);
    expect(timing).toMatchObject({ firstMs: 0, lastMs: 80 });
    expect(sumProgress(stored(2), [[null, null, "1", null, null, null]]).timing).toMatchObject({
      firstMs: null,
      lastMs: null,
    });
  });

  test("is complete once every follower has an outcome, an unknown one too", () => {
    const part = ["3", "2", "1", "4", null, null];
    expect(sumProgress(stored(11), [part]).status).toBe("running");
    expect(sumProgress(stored(10), [part]).status).toBe("complete");
    expect(sumProgress(stored(0), []).status).toBe("complete");
  });
});

describe("a stored signal", () => {
  test("is read with its routes, except for empty shards", () => {
    const routes = ["local/desk/0/0", "7,10", "local/desk/0/1", "7,0"];
    expect(parseStoredSignal([JSON.stringify(SIGNAL), JSON.stringify(routes), "10"])).toEqual({
      signal: SIGNAL,
      routes: [{ region: "local", broker: "desk", partition: 0, shard: 0, version: 7, count: 10 }],
      followers: 10,
    });
  });

  test("of no routes is stored as an empty object, and read as none", () => {
    expect(parseStoredSignal([JSON.stringify(SIGNAL), "{}", "0"])).toMatchObject({ routes: [] });
  });

  test("that does not exist, or has expired, is undefined", () => {
    expect(parseStoredSignal([null, null, null])).toBeUndefined();
  });
});
