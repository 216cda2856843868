import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { setHalt } from "../stored/halt.ts";
import { HaltCache } from "./halt-cache.ts";

let redis: ScriptRedis;
let cache: HaltCache;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  cache = new HaltCache(redis.client);
});

const halt = (partition: number) =>
  redis.run(setHalt, {
    ...({ key: new RegionKeys(partition).halts, scope: "platform", action: "halt" } as const),
  });

test("halts are as last read, until they are read again", async () => {
  expect((await cache.of(0)).scopes.size).toBe(0);
  await halt(0);
  expect((await cache.of(0)).scopes.size).toBe(0);
  const fresh = await cache.of(0, true);
  expect(fresh.scopes.get("platform")).toBe("halt");
  expect(await cache.of(0)).toEqual(fresh);
});

test("each partition has its own halts", async () => {
  await halt(1);
  expect((await cache.of(1)).scopes.size).toBe(1);
  expect((await cache.of(0)).scopes.size).toBe(0);
});

test("halts that cannot be read do not count as no halts", async () => {
  await cache.of(0);
  await redis.send("SET", new RegionKeys(0).halts, "no hash");
  expect(await cache.of(0, true).catch(() => "rejected")).toBe("rejected");
});

test("a partition that lost its halts stops everything until it is filled", async () => {
  await redis.send("HDEL", new RegionKeys(0).header, "regionSinceMs");
  expect((await cache.of(0)).scopes.get("platform")).toBe("halt");
  await redis.send("HSET", new RegionKeys(0).header, "regionSinceMs", "1");
  expect((await cache.of(0, true)).scopes.size).toBe(0);
});
