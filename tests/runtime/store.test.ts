/**
 * The requests of the edge to its stores, on a real Redis behind the bridge, with all traffic
 * between them recorded.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { signalIdIn } from "../../domain/ids.ts";
import { Confirmations } from "../../edge/confirmations.ts";
import { openStore, type Store } from "../../edge/store.ts";
import { startBridge, type Bridge } from "../../local/bridge.ts";
import { HomeKeys } from "../../redis/keys.ts";
import type { Script } from "../../redis/script.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const append: Script<string, number> = {
  name: "append",
  lua: "return redis.call('RPUSH', KEYS[1], ARGV[1])",
  keys: () => ["list"],
  args: (word) => [word],
  reply: Number,
};
const fail: Script<string, number> = {
  ...append,
  lua: "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.error_reply('NOTNOW')",
};

let redis: TestRedis;
let bridge: Bridge;
let passed: string[] = [];
let between: Bun.Server<undefined>;
let store: Store;
let client: Redis;

beforeAll(async () => {
  redis = await startRedis();
  client = connectRedis(redis.url);
  bridge = await startBridge({ redisUrl: redis.url, token: "the-token" });
  between = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const body = await request.text();
      passed.push(body);
      const { pathname } = new URL(request.url);
      const { method, headers } = request;
      return await fetch(bridge.url + pathname, { method, headers, body });
    },
  });
  store = openStore({ url: between.url.href, token: "the-token" });
});
afterAll(async () => {
  client.close();
  await between.stop(true);
  await bridge.stop();
  await redis.stop();
});
beforeEach(async () => {
  await client.send("FLUSHALL", []);
  await client.send("SCRIPT", ["FLUSH"]);
  passed = [];
});

const listed = () => client.send("LRANGE", ["list", "0", "-1"]);

test("a script is sent as text to a store that does not know it, then by name, and takes effect once", async () => {
  expect(await store.run(append, "a")).toEqual({ ok: true, value: 1 });
  expect(await store.run(append, "b")).toEqual({ ok: true, value: 2 });
  expect(await listed()).toEqual(["a", "b"]);
  expect(passed.map((body) => body.includes("RPUSH"))).toEqual([false, true, false]);
});

test("of several, each takes effect once, whether the store knew the script or not", async () => {
  const words = ["a", "b", "c"];
  expect(await store.runAll(append, words)).toEqual({ ok: true, value: [1, 2, 3] });
  expect(await store.runAll(append, words)).toEqual({ ok: true, value: [4, 5, 6] });
  expect(await listed()).toEqual([...words, ...words]);
  expect(passed.map((body) => body.includes("RPUSH"))).toEqual([false, true, false]);
});

test("a script that failed is not sent again: it may have taken effect", async () => {
  await store.run(fail, "a");
  passed = [];
  expect(await store.run(fail, "b")).toEqual({ ok: false, code: "STORE_UNAVAILABLE" });
  expect(await store.runAll(fail, ["c"])).toEqual({ ok: false, code: "STORE_UNAVAILABLE" });
  expect(await listed()).toEqual(["a", "b", "c"]);
  expect(passed).toHaveLength(2);
});

test("signals that are confirmed at the same moment are removed from the undispatched set in one request", async () => {
  const confirmations = new Confirmations(store);
  const undispatched = (partition: number) => new HomeKeys(partition).undispatched;
  const ids = Array.from({ length: 20 }, (_, n) => signalIdIn(n % 2, String(n).padStart(32, "0")));
  const other = signalIdIn(0, "f".repeat(32));
  for (const id of [...ids, other]) {
    await client.send("ZADD", [HomeKeys.ofSignal(id).undispatched, "1", id]);
  }
  await Promise.all(ids.map((id) => confirmations.confirm(id)));
  expect(await client.send("ZRANGE", [undispatched(0), "0", "-1"])).toEqual([other]);
  expect(await client.send("ZCARD", [undispatched(1)])).toBe(0);
  expect(passed).toHaveLength(1);
  await confirmations.confirm(other);
  expect(await client.send("ZCARD", [undispatched(0)])).toBe(0);
});
