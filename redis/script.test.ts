import { afterAll, beforeAll, expect, test } from "bun:test";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { asInteger, asList, asText, LUA_NOW } from "./script.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});

test("a reply of another shape than the script's is an error, never a value", () => {
  for (const raw of [null, undefined, "a", {}]) expect(() => asList(raw)).toThrow(TypeError);
  for (const raw of [null, undefined, [], {}]) expect(() => asText(raw)).toThrow(TypeError);
  for (const raw of ["x", "1.5", 1.5, "1e99", null])
    expect(() => asInteger(raw)).toThrow(TypeError);
});

test("a number may come as a text, and a text as a number", () => {
  expect(asInteger("1800000000000")).toBe(1_800_000_000_000);
  expect(asText(7)).toBe("7");
});

test("the time is that of the Redis that runs the script, in whole milliseconds", async () => {
  const script = { name: "now", lua: `${LUA_NOW} return now_ms()`, keys: () => [], args: () => [] };
  const beforeMs = await redis.nowMs();
  const nowMs = await redis.run({ ...script, reply: asInteger }, undefined);
  expect(nowMs).toBeGreaterThanOrEqual(beforeMs);
  expect(nowMs).toBeLessThanOrEqual(await redis.nowMs());
});
