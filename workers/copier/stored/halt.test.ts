import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import {
  haltScopes,
  isHaltScope,
  parseHalts,
  setHalt,
  standing,
  type HaltAction,
  type HaltScope,
} from "./halt.ts";

const KEY = new RegionKeys(0).halts;

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

const set = (action: HaltAction, scope: HaltScope = "platform") =>
  redis.run(setHalt, { key: KEY, scope, action });

const halts = async () => parseHalts(await redis.hash(KEY));

describe("a partition's halts", () => {
  test("hold what was halted or drained until it is lifted", async () => {
    expect(await set("halt", "channel:demo")).toEqual({ changed: true, state: "halt" });
    expect(await set("drain")).toEqual({ changed: true, state: "drain" });
    expect((await halts()).scopes).toEqual(
      new Map([
        ["channel:demo", "halt"],
        ["platform", "drain"],
      ]),
    );
    expect(await set("lift", "channel:demo")).toEqual({ changed: true, state: undefined });
    expect((await halts()).scopes).toEqual(new Map([["platform", "drain"]]));
  });

  test("stay halted where they are drained: the halt is the stronger", async () => {
    await set("halt");
    expect(await set("drain")).toEqual({ changed: false, state: "halt" });
    expect(standing(await halts(), ["platform"])).toBe("halt");
    await set("drain", "broker:desk");
    expect(await set("halt", "broker:desk")).toEqual({ changed: true, state: "halt" });
  });

  test("have a version that rises with every change, also within a millisecond", async () => {
    const versions = [Number((await halts()).version)];
    expect(versions).toEqual([0]);
    for (const action of ["halt", "lift", "drain", "halt", "lift"] as const) {
      await set(action);
      versions.push(Number((await halts()).version));
    }
    expect(new Set(versions).size).toBe(6);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  test("that come back from nothing have a higher version than before: it is at least Redis' time", async () => {
    const beforeMs = await redis.nowMs();
    await set("halt");
    expect(Number((await halts()).version)).toBeGreaterThanOrEqual(beforeMs);
    await redis.send("HSET", KEY, "version", String(beforeMs + 1_000_000));
    await set("lift");
    expect(Number((await halts()).version)).toBe(beforeMs + 1_000_001);
  });

  test("and their version do not move by a repetition", async () => {
    await set("halt");
    const before = await redis.everything();
    expect(await set("halt")).toEqual({ changed: false, state: "halt" });
    expect(await set("lift", "channel:demo")).toEqual({ changed: false, state: undefined });
    expect(await redis.everything()).toEqual(before);
  });
});

describe("what stops an order", () => {
  const of = (scopes: Record<string, "halt" | "drain">) =>
    standing({ version: "1", scopes: new Map(Object.entries(scopes)) }, [
      ...haltScopes(asId("demo"), asId("provider"), "desk"),
      "follower:alice",
    ]);

  test("is any one of its scopes", () => {
    expect(of({})).toBeUndefined();
    for (const scope of ["platform", "channel:demo", "provider:provider", "broker:desk"]) {
      expect(of({ [scope]: "halt" })).toBe("halt");
    }
    expect(of({ "follower:alice": "drain" })).toBe("drain");
    expect(of({ "follower:bob": "halt", "channel:other": "halt" })).toBeUndefined();
  });

  test("is a halt where one stands beside a drain, in whatever order", () => {
    expect(of({ platform: "drain", "broker:desk": "halt" })).toBe("halt");
    expect(of({ platform: "halt", "broker:desk": "drain" })).toBe("halt");
  });

  test("is no broker's halt where none is named", () => {
    expect(haltScopes(asId("demo"), asId("provider"))).toHaveLength(3);
  });
});

test.each([
  ["platform", true],
  ["channel:demo", true],
  ["provider:p_1", true],
  ["follower:f-1", true],
  ["broker:desk", true],
  ["", false],
  ["platform:x", false],
  ["channel", false],
  ["channel:", false],
  ["channel:a:b", false],
  ["channel:a b", false],
  ["version", false],
  ["account:a", false],
])("%p is a scope of halts: %p", (text, is) => {
  expect(isHaltScope(text)).toBe(is);
});
