import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { ScopeSettings } from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen } from "../../../tests/support/signals.ts";
import { layerFields, parseLayers, setLayer, type Layers } from "./layers.ts";

const KEY = new RegionKeys(2).layers;
const PAUSED: ScopeSettings = { plan: {}, paused: true };

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

const set = (scope: SettingsScope, version: number, settings?: ScopeSettings) =>
  redis.run(setLayer, { partition: 2, scope, version, ...(settings ? { settings } : {}) });

/** What a job of a signal reads. */
async function layers(changes: Parameters<typeof acceptedOpen>[0] = {}): Promise<Layers> {
  return parseLayers(await redis.send("HMGET", KEY, ...layerFields(acceptedOpen(changes))));
}

describe("what a scope says", () => {
  test("holds for the signals that it concerns, and no others", async () => {
    await set("channel:demo", 1, { plan: { maxStakeCents: 90 }, paused: false });
    await set("channel:other", 1, PAUSED);
    await set("provider:other", 1, PAUSED);
    expect((await layers()).upper).toEqual({ maxStakeCents: 90 });
    expect((await layers({ provider: "other" as never })).upper?.pausedBy).toBe("provider");
  });

  test("is laid over what is wider: platform, provider, channel", async () => {
    await set("channel:demo", 1, { plan: { maxOpen: 1, maxStakeCents: 90 }, paused: false });
    await set("provider:provider", 1, { plan: { reverse: true }, paused: false });
    await set("platform", 1, { plan: { maxStakeCents: 80 }, paused: true });
    expect((await layers()).upper).toEqual({
      maxOpen: 1,
      maxStakeCents: 80,
      reverse: true,
      pausedBy: "platform",
    });
  });

  test("of an older version never overwrites a newer, however late it comes", async () => {
    expect(await set("platform", 5, PAUSED)).toBe(true);
    expect(await set("platform", 4, { plan: {}, paused: false })).toBe(false);
    expect(await set("platform", 5, { plan: {}, paused: false })).toBe(false);
    expect((await layers()).upper?.pausedBy).toBe("platform");
    // Versions are numbers: as texts, 10 comes before 5.
    expect(await set("platform", 10, { plan: {}, paused: false })).toBe(true);
    expect((await layers()).upper).toBeUndefined();
  });

  test("is forgotten only as of its version or later", async () => {
    await set("platform", 5, PAUSED);
    expect(await set("platform", 4)).toBe(false);
    expect((await layers()).upper?.pausedBy).toBe("platform");
    expect(await set("platform", 5)).toBe(true);
    expect((await layers()).upper).toBeUndefined();
    expect(await set("platform", 5)).toBe(false);
  });
});

describe("the version of a partition's layers", () => {
  test("is 0 before anything was set, and rises with every change of any scope", async () => {
    expect(await layers()).toEqual({ version: "0", upper: undefined });
    const versions: number[] = [];
    const changes = [
      () => set("platform", 1, PAUSED),
      () => set("channel:other", 1, PAUSED),
      () => set("platform", 2, PAUSED),
      () => set("platform", 2),
    ];
    for (const change of changes) {
      await change();
      versions.push(Number((await layers()).version));
    }
    expect(new Set(versions).size).toBe(4);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  test("does not move by what changes nothing", async () => {
    await set("platform", 5, PAUSED);
    const before = await redis.everything();
    await set("platform", 5, PAUSED);
    await set("platform", 4);
    await set("channel:demo", 1);
    expect(await redis.everything()).toEqual(before);
  });

  test("is above any that was before, where a Redis lost its layers: it is at least Redis' time", async () => {
    const beforeMs = await redis.nowMs();
    await set("platform", 5, PAUSED);
    expect(Number((await layers()).version)).toBeGreaterThanOrEqual(beforeMs);
  });
});
