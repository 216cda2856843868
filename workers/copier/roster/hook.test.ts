import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { asId, type HookId } from "../../../domain/ids.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import type { Hook } from "../../../domain/copier/hook.ts";
import { projectHook } from "./hook.ts";
import { hookKey, PartitionMap } from "../../../redis/keys.ts";

const HOOK: Hook = {
  id: asId<HookId>("hook"),
  channel: asId("demo"),
  sender: asId("sender"),
  kind: "tradingview",
  secretSha256: "a".repeat(64),
};
const KEY = hookKey(HOOK.id, new PartitionMap(4));

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

const project = (version: number, changes: Partial<Hook> = {}) =>
  redis.run(projectHook, { key: KEY, hook: { ...HOOK, ...changes } as Hook, version });

const stored = async () => JSON.parse(String(await redis.send("GET", KEY))) as unknown;

test("every field of a hook is stored, with its version", async () => {
  expect(await project(3)).toBe(true);
  expect(await stored()).toEqual({ ...HOOK, version: 3 });
});

test("a replaced secret does not return, even if its projection arrives late", async () => {
  await project(3);
  expect(await project(4, { secretSha256: "b".repeat(64) })).toBe(true);
  expect(await project(3)).toBe(false);
  expect(await project(4)).toBe(false);
  expect(await stored()).toMatchObject({ secretSha256: "b".repeat(64), version: 4 });
});

test("a hook without a version is replaced by any version", async () => {
  await redis.send("SET", KEY, JSON.stringify(HOOK));
  expect(await project(1, { secretSha256: "b".repeat(64) })).toBe(true);
  expect(await stored()).toMatchObject({ secretSha256: "b".repeat(64) });
});

test("a hook of another kind replaces all of it: the former secret is gone", async () => {
  await project(1);
  const { secretSha256: _, ...rest } = HOOK as Extract<Hook, { kind: "tradingview" }>;
  const standard: Hook = { ...rest, kind: "standard", sealedSecret: "sealed" };
  expect(await redis.run(projectHook, { key: KEY, hook: standard, version: 2 })).toBe(true);
  expect(await stored()).toEqual({ ...standard, version: 2 });
});
