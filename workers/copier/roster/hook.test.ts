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

test("a hook is stored whole, with its version", async () => {
  expect(await project(3)).toBe(true);
  expect(await stored()).toEqual({ ...HOOK, version: 3 });
});

test("a secret that was replaced never comes back, however late its projection arrives", async () => {
  await project(3);
  expect(await project(4, { secretSha256: "b".repeat(64) })).toBe(true);
  expect(await project(3)).toBe(false);
  expect(await project(4)).toBe(false);
  expect(await stored()).toMatchObject({ secretSha256: "b".repeat(64), version: 4 });
});

test("a hook from before there were versions gives way to any", async () => {
  await redis.send("SET", KEY, JSON.stringify(HOOK));
  expect(await project(1, { secretSha256: "b".repeat(64) })).toBe(true);
  expect(await stored()).toMatchObject({ secretSha256: "b".repeat(64) });
});

test("a hook of another kind replaces it whole: nothing of the former secret stays", async () => {
  await project(1);
  const { secretSha256: _, ...rest } = HOOK as Extract<Hook, { kind: "tradingview" }>;
  const standard: Hook = { ...rest, kind: "standard", sealedSecret: "sealed" };
  expect(await redis.run(projectHook, { key: KEY, hook: standard, version: 2 })).toBe(true);
  expect(await stored()).toEqual({ ...standard, version: 2 });
});
