import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId } from "../../../domain/ids.ts";
import type { ScopeSettings } from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen } from "../../../tests/support/signals.ts";
import { NO_LAYERS, setLayer } from "../stored/layers.ts";
import { LayerCache } from "./layer-cache.ts";

const CAP: ScopeSettings = { plan: { maxStakeCents: 90 }, paused: false };

let redis: ScriptRedis;
let cache: LayerCache;
let version = 0;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  cache = new LayerCache(redis.client);
});

async function set(scope: SettingsScope, settings: ScopeSettings): Promise<void> {
  version += 1;
  await redis.run(setLayer, { partition: 0, scope, version, settings });
}

const upper = async (channel = "demo", fresh = false) =>
  (await cache.of(0, acceptedOpen({ channel: asId(channel) }), fresh)).upper;

describe("the policies of a channel", () => {
  test("are as last read, until they are read again", async () => {
    expect(await upper()).toBeUndefined();
    await set("channel:demo", CAP);
    expect(await upper()).toBeUndefined();
    expect(await upper("demo", true)).toEqual({ maxStakeCents: 90 });
    expect(await upper()).toEqual({ maxStakeCents: 90 });
  });

  test("stay the same object if they are equal, so that members are not computed again", async () => {
    await set("channel:demo", CAP);
    const before = await cache.of(0, acceptedOpen());
    await set("channel:demo", CAP);
    const after = await cache.of(0, acceptedOpen(), true);
    expect(after.version).not.toBe(before.version);
    expect(after.upper).toBe(before.upper as never);
  });

  test("have a version that another channel's do not change", async () => {
    await set("channel:demo", CAP);
    const before = await cache.of(0, acceptedOpen());
    await set("channel:other", CAP);
    expect(await cache.of(0, acceptedOpen(), true)).toEqual(before);
  });
});

describe("a shard's members", () => {
  const members = [memberOf("ann"), memberOf("bob", { plan: { maxStakeCents: 10 } })];

  test("are used as they are if no policy is above them", () => {
    expect(cache.membersUnder({ version: NO_LAYERS, upper: undefined }, members)).toBe(members);
  });

  test("have the policies above applied to their plans, once for each shard and policy", async () => {
    await set("channel:demo", CAP);
    const layers = await cache.of(0, acceptedOpen());
    const under = cache.membersUnder(layers, members);
    expect(under.map(({ plan }) => plan.maxStakeCents)).toEqual([90, 10]);
    expect(members[0]?.plan.maxStakeCents).toBeUndefined();
    expect(cache.membersUnder(layers, members)).toBe(under);

    await set("channel:demo", { plan: {}, paused: true });
    const paused = await cache.of(0, acceptedOpen(), true);
    expect(cache.membersUnder(paused, members).map(({ plan }) => plan.pausedBy)).toEqual([
      "channel",
      "channel",
    ] as never);
  });
});
