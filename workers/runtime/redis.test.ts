import { afterAll, beforeAll, expect, test } from "bun:test";
import { asInteger, type Script } from "../../redis/script.ts";
import { startScriptRedis, type ScriptRedis } from "../../tests/support/scripts.ts";
import { run } from "./redis.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});

const ADD: Script<{ readonly key: string; readonly by: number }, number> = {
  name: "add",
  lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  keys: ({ key }) => [key],
  args: ({ by }) => [String(by)],
  reply: asInteger,
};

test("a script runs on a Redis that does not have it, and on one that has dropped it", async () => {
  await redis.send("SCRIPT", "FLUSH");
  expect(await run(redis.client, ADD, { key: "a", by: 2 })).toBe(2);
  expect(await run(redis.client, ADD, { key: "a", by: 3 })).toBe(5);
  await redis.send("SCRIPT", "FLUSH");
  expect(await run(redis.client, ADD, { key: "a", by: 1 })).toBe(6);
});

test("a script's text is sent to a Redis once", async () => {
  await redis.send("SCRIPT", "FLUSH");
  await redis.send("CONFIG", "RESETSTAT");
  for (let count = 0; count < 5; count += 1) await run(redis.client, ADD, { key: "b", by: 1 });
  const stats = String(await redis.send("INFO", "commandstats"));
  expect(/^cmdstat_eval:calls=(\d+)/m.exec(stats)?.[1]).toBe("1");
});

test("a script that fails is not run a second time", async () => {
  await redis.send("SET", "c", "text");
  const failing: typeof ADD = {
    ...ADD,
    lua: "redis.call('INCR', KEYS[1] .. ':tries') return redis.call('INCRBY', KEYS[1], ARGV[1])",
  };
  for (const tries of ["1", "2"]) {
    const error = await run(redis.client, failing, { key: "c", by: 1 }).catch(
      (each: unknown) => each,
    );
    expect(error).toBeInstanceOf(Error);
    expect(await redis.send("GET", "c:tries")).toBe(tries);
  }
});
