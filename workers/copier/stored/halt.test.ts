import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId } from "../../../domain/ids.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import type { Stop, StopAction, StopAuthor } from "../../../domain/copier/stop.ts";
import { haltNotesKey, RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { haltScopes, holdStop, parseHalts, parseStops, setHalt, standing } from "./halt.ts";

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

const set = (action: StopAction, scope: Scope = "platform", author: Partial<StopAuthor> = {}) =>
  redis.run(setHalt, { key: KEY, scope, action, ...author });

const halts = async () => parseHalts(await redis.hash(KEY));

describe("a partition's halts", () => {
  test("contain each halt and drain until it is lifted", async () => {
    expect(await set("halt", "channel:demo")).toMatchObject({ changed: true, state: "halt" });
    expect(await set("drain")).toMatchObject({ changed: true, state: "drain" });
    expect((await halts()).scopes).toEqual(
      new Map([
        ["channel:demo", "halt"],
        ["platform", "drain"],
      ]),
    );
    expect(await set("lift", "channel:demo")).toMatchObject({ changed: true, state: undefined });
    expect((await halts()).scopes).toEqual(new Map([["platform", "drain"]]));
  });

  test("stay halted after a drain: the halt is stronger", async () => {
    await set("halt");
    expect(await set("drain")).toMatchObject({ changed: false, state: "halt" });
    expect(standing(await halts(), ["platform"])).toBe("halt");
    await set("drain", "broker:desk");
    expect(await set("halt", "broker:desk")).toMatchObject({ changed: true, state: "halt" });
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

  test("that return after a loss have a higher version than before: it is at least Redis' time", async () => {
    const beforeMs = await redis.nowMs();
    await set("halt");
    expect(Number((await halts()).version)).toBeGreaterThanOrEqual(beforeMs);
    await redis.send("HSET", KEY, "version", String(beforeMs + 1_000_000));
    await set("lift");
    expect(Number((await halts()).version)).toBe(beforeMs + 1_000_001);
  });

  test("and their version do not change by a repetition", async () => {
    await set("halt");
    const before = await redis.everything();
    expect(await set("halt")).toMatchObject({ changed: false, state: "halt" });
    expect(await set("lift", "channel:demo")).toMatchObject({ changed: false, state: undefined });
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

  test("is a halt if there are a halt and a drain, in any order", () => {
    expect(of({ platform: "drain", "broker:desk": "halt" })).toBe("halt");
    expect(of({ platform: "halt", "broker:desk": "drain" })).toBe("halt");
  });

  test("is not a broker's halt if no broker is named", () => {
    expect(haltScopes(asId("demo"), asId("provider"))).toHaveLength(3);
  });
});

const stops = async () => parseStops(await redis.hash(KEY), await redis.hash(haltNotesKey(KEY)));
const readStop = async (scope: Scope = "platform") => (await stops()).get(scope);

describe("a stop says", () => {
  test("who set it, when and why; and so does its lift", async () => {
    const beforeMs = await redis.nowMs();
    const { stop } = await set("halt", "channel:demo", { by: "alice", why: "the feed\nis wrong" });
    expect(stop).toEqual({
      state: "halt",
      by: "alice",
      why: "the feed\nis wrong",
      owner: "*",
      liftedAtMs: 0,
      atMs: expect.any(Number),
    });
    expect(stop!.atMs).toBeGreaterThanOrEqual(beforeMs);
    expect(await readStop("channel:demo")).toEqual(stop!);
    const lift = await set("lift", "channel:demo", { by: "bob", why: "mended" });
    expect(lift.stop).toMatchObject({ state: "open", by: "bob", why: "mended" });
    expect(lift.stop!.liftedAtMs).toBe(lift.stop!.atMs);
    expect(lift.stop!.atMs).toBeGreaterThan(stop!.atMs);
    expect(await readStop("channel:demo")).toEqual(lift.stop!);
    const again = await set("drain", "channel:demo");
    expect(again.stop).toMatchObject({ state: "drain", liftedAtMs: lift.stop!.atMs });
  });

  test("only its state if an earlier release set it", async () => {
    await redis.send("HSET", KEY, "platform", "halt", "version", "1700000000000");
    const unexplained = { state: "halt", by: "operator", why: "", atMs: 0, liftedAtMs: 0 };
    expect(await readStop()).toMatchObject(unexplained);
    expect((await set("halt")).stop).toMatchObject(unexplained);
    await set("lift");
    const { atMs: liftedAtMs } = (await readStop())!;
    // Set by that release once more: not before it was lifted.
    await redis.send("HSET", KEY, "platform", "drain");
    expect(await readStop()).toMatchObject({ state: "drain", atMs: liftedAtMs, liftedAtMs });
  });
});

describe("who may lift", () => {
  const alice = { by: "alice", owner: "alice" };
  const bob = { by: "bob", owner: "bob" };

  test("a stop: the person who set it, or an administrator", async () => {
    await set("halt", "channel:demo", alice);
    expect(await set("lift", "channel:demo", bob)).toMatchObject({
      changed: false,
      state: "halt",
      isForeign: true,
    });
    expect(await set("lift", "channel:demo", alice)).toMatchObject({ changed: true });
    await set("drain", "channel:demo", alice);
    expect(await set("lift", "channel:demo")).toMatchObject({ changed: true, isForeign: false });
  });

  test("only an administrator, if one set it or its author is not known", async () => {
    await set("drain", "channel:demo");
    // Making it stricter does not make it theirs.
    expect(await set("halt", "channel:demo", alice)).toMatchObject({ state: "halt" });
    expect(await set("lift", "channel:demo", alice)).toMatchObject({ isForeign: true });
    await redis.send("HSET", KEY, "channel:old", "halt", "version", "5");
    expect(await set("lift", "channel:old", alice)).toMatchObject({ isForeign: true });
  });
});

describe("a recorded stop that is brought back", () => {
  const recorded = (changes: Partial<Stop> = {}): Stop => ({
    state: "halt",
    atMs: 5e3,
    liftedAtMs: 0,
    by: "alice",
    owner: "*",
    why: "a reason",
    ...changes,
  });
  const hold = (changes: Partial<Stop> = {}) =>
    redis.run(holdStop, { key: KEY, scope: "platform", stop: recorded(changes) });

  test("is in force where nothing was stopped, with its note, and changes the version", async () => {
    expect(await hold()).toBe(true);
    expect(await readStop()).toEqual(recorded());
    expect(Number((await halts()).version)).toBeGreaterThan(0);
    expect(await hold()).toBe(false);
  });

  test("makes a drain a halt, and never a halt a drain", async () => {
    await set("drain");
    expect(await hold()).toBe(true);
    expect(await hold({ state: "drain", atMs: Date.now() + 60_000 })).toBe(false);
    expect(standing(await halts(), ["platform"])).toBe("halt");
  });

  test("does not come back where it was lifted afterwards", async () => {
    await set("halt");
    await set("lift");
    const before = await redis.everything();
    expect(await hold()).toBe(false);
    expect(await redis.everything()).toEqual(before);
    expect(await hold({ atMs: Date.now() + 60_000 })).toBe(true);
  });
});
