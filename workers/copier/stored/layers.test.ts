import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { ScopeSettings } from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen } from "../../../tests/support/signals.ts";
import { layerFields, NO_LAYERS, parseLayers, setLayer, type Layers } from "./layers.ts";

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

/** The policies that a job of a signal reads. */
async function layers(changes: Parameters<typeof acceptedOpen>[0] = {}): Promise<Layers> {
  return parseLayers(await redis.send("HMGET", KEY, ...layerFields(acceptedOpen(changes))));
}

describe("a scope's policy", () => {
  test("applies to the signals of its scope, and no others", async () => {
    await set("channel:demo", 1, { plan: { maxStakeCents: 90 }, paused: false });
    await set("channel:other", 1, PAUSED);
    await set("provider:other", 1, PAUSED);
    expect((await layers()).upper).toEqual({ maxStakeCents: 90 });
    expect((await layers({ provider: "other" as never })).upper?.pausedBy).toBe("provider");
  });

  test("overrides the wider ones: platform, provider, channel", async () => {
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

  test("of an older version never overwrites a newer one, even if it arrives late", async () => {
    expect(await set("platform", 5, PAUSED)).toBe(true);
    expect(await set("platform", 4, { plan: {}, paused: false })).toBe(false);
    expect(await set("platform", 5, { plan: {}, paused: false })).toBe(false);
    expect((await layers()).upper?.pausedBy).toBe("platform");
    // Versions are compared as numbers: as text, 10 would come before 5.
    expect(await set("platform", 10, { plan: {}, paused: false })).toBe(true);
    expect((await layers()).upper).toBeUndefined();
  });

  test("is deleted only by its version or a later one", async () => {
    await set("platform", 5, PAUSED);
    expect(await set("platform", 4)).toBe(false);
    expect((await layers()).upper?.pausedBy).toBe("platform");
    expect(await set("platform", 5)).toBe(true);
    expect((await layers()).upper).toBeUndefined();
    expect(await set("platform", 5)).toBe(false);
  });
});

describe("the version of the policies that a job reads", () => {
  test("changes with every scope that applies to the job, and with no other", async () => {
    expect(await layers()).toEqual({ version: NO_LAYERS, upper: undefined });
    const versions = [NO_LAYERS];
    for (const scope of ["platform", "provider:provider", "channel:demo"] as const) {
      for (const version of [1, 2]) {
        await set(scope, version, PAUSED);
        versions.push((await layers()).version);
      }
    }
    expect(new Set(versions).size).toBe(7);
    await set("channel:other", 1, PAUSED);
    await set("provider:other", 1, PAUSED);
    expect((await layers()).version).toBe(versions.at(-1)!);
  });

  test("does not change if nothing changed", async () => {
    await set("platform", 5, PAUSED);
    const before = await redis.everything();
    await set("platform", 5, PAUSED);
    await set("platform", 4);
    await set("channel:demo", 1);
    expect(await redis.everything()).toEqual(before);
  });

  test("is also written for workers of the previous release, as the rising version of the whole hash", async () => {
    const beforeMs = await redis.nowMs();
    const versions: number[] = [];
    for (const version of [1, 2, 3]) {
      await set("channel:other", version, PAUSED);
      versions.push(Number(await redis.send("HGET", KEY, "version")));
    }
    expect(versions[0]).toBeGreaterThanOrEqual(beforeMs);
    expect(versions).toEqual(versions.toSorted((one, two) => one - two));
    expect(new Set(versions).size).toBe(3);
  });
});
