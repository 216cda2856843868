import { RedisClient } from "bun";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { startRedis, type TestRedis } from "../tests/support/redis.ts";
import { until } from "../tests/support/wait.ts";
import {
  CLAIM_MS,
  claimFill,
  dropClaim,
  filledSince,
  finishFill,
  keepClaim,
  type Part,
} from "./filled.ts";
import { formatKey } from "./keys.ts";
import type { Script } from "./script.ts";

let server: TestRedis;
let redis: RedisClient;

beforeAll(async () => {
  server = await startRedis({ appendOnly: true, durability: "always", filled: false });
  redis = new RedisClient(server.url);
});
afterAll(async () => {
  redis.close();
  await server.stop();
});
beforeEach(async () => {
  await redis.send("FLUSHALL", []);
});

async function run<Args, Reply>(
  client: RedisClient,
  script: Script<Args, Reply>,
  given: Args,
): Promise<Reply> {
  const keys = script.keys(given);
  const words = [script.lua, String(keys.length), ...keys, ...script.args(given)];
  return script.reply(await client.send("EVAL", words), given);
}

const args = (filler = "one", part: Part = "home") => ({ partition: 0, part, filler });
const claim = (filler?: string, part?: Part) => run(redis, claimFill, args(filler, part));
const finish = (filler?: string, part?: Part) => run(redis, finishFill, args(filler, part));
const keep = (filler?: string) => run(redis, keepClaim, args(filler));
const since = (part: Part = "home") => run(redis, filledSince, { partition: 0, part });

describe("a partition", () => {
  test("is filled once its filler says so, since the moment at which it was claimed", async () => {
    expect(await since()).toBeUndefined();
    const beforeMs = Date.now();
    expect(await claim()).toBe("claimed");
    const claimedMs = Date.now();
    expect(await since()).toBeUndefined();
    expect(await keep()).toBe(true);
    await until("time has passed", () => Date.now() > claimedMs + 5);
    expect(await finish()).toBe(true);
    expect(await since()).toBeGreaterThanOrEqual(beforeMs);
    expect(await since()).toBeLessThanOrEqual(claimedMs);
    expect(await claim("two")).toBe("filled");
    expect(await finish()).toBe(false);
  });

  test("of a home and one of a region are filled apart, where one Redis holds both", async () => {
    expect(await claim("one", "home")).toBe("claimed");
    expect(await claim("two", "region")).toBe("claimed");
    expect(await finish("one", "region")).toBe(false);
    expect(await finish("one", "home")).toBe(true);
    expect(await since("region")).toBeUndefined();
  });
});

describe("of two fillers", () => {
  test("one fills, and the other one once that is given back or has run out", async () => {
    expect(await claim("one")).toBe("claimed");
    expect(await claim("two")).toBe("another");
    expect(await finish("two")).toBe(false);
    expect(await run(redis, dropClaim, args("two"))).toBe(false);
    expect(await run(redis, dropClaim, args("one"))).toBe(true);
    expect(await claim("two")).toBe("claimed");

    // As if the filler had been killed so long ago.
    const [filler, sinceMs, untilMs, runId] = String(
      await redis.send("HGET", [formatKey(0), "homeFilling"]),
    ).split(" ");
    expect(Number(untilMs) - Number(sinceMs)).toBe(CLAIM_MS);
    const old = `${filler} ${sinceMs} ${Number(sinceMs) - 1} ${runId}`;
    await redis.send("HSET", [formatKey(0), "homeFilling", old]);
    expect(await claim("three")).toBe("claimed");
    expect(await keep("two")).toBe(false);
    expect(await finish("two")).toBe(false);
  });
});

describe("what was filled before a loss is not marked after it", () => {
  test("where the Redis was flushed in the middle, also when another has begun anew", async () => {
    await claim("one");
    await redis.send("FLUSHALL", []);
    expect(await keep("one")).toBe(false);
    expect(await finish("one")).toBe(false);
    await claim("two");
    expect(await finish("one")).toBe(false);
    expect(await finish("two")).toBe(true);
  });

  test("where the Redis was restarted in the middle, though it kept the claim", async () => {
    await claim("one");
    await server.kill();
    await server.restart();
    const other = new RedisClient(server.url);
    expect(await other.send("HEXISTS", [formatKey(0), "homeFilling"])).toBe(1);
    expect(await run(other, keepClaim, args("one"))).toBe(false);
    expect(await run(other, finishFill, args("one"))).toBe(false);
    other.close();
  });
});
