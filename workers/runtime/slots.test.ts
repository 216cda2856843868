/** Several loops of one process, on a real Redis, with a common limit. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { startRedis, type TestRedis } from "../../tests/support/redis.ts";
import { until } from "../../tests/support/wait.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";
import { consume } from "./consume.ts";
import { Slots } from "./slots.ts";

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
});
beforeEach(async () => {
  await redis.send("FLUSHALL", []);
});
afterAll(async () => {
  redis.close();
  await server.stop();
});

interface Load {
  /** Entries by stream. */
  readonly entries: Readonly<Record<string, number>>;
  readonly slots?: number;
}

/**
 * Runs a loop of eight for each stream until everything is handled; returns the streams in the
 * order of service, and the most calls at once.
 */
async function serve({ entries, slots: count }: Load) {
  const stop = new AbortController();
  const slots = count === undefined ? undefined : new Slots(count);
  const served: string[] = [];
  let atOnce = 0;
  let most = 0;
  for (const [stream, length] of Object.entries(entries)) {
    for (let n = 0; n < length; n += 1) await redis.send("XADD", [stream, "*", "n", String(n)]);
  }
  const loops = Object.keys(entries).map((stream) =>
    consume({
      connect: () => connectRedis(server.url),
      clock: SYSTEM_CLOCK,
      redis,
      stream,
      group: "g",
      consumer: "one",
      batch: 1,
      concurrency: 8,
      reclaimIdleMs: 60_000,
      stop: stop.signal,
      ...(slots ? { slots } : {}),
      async handle(some) {
        atOnce += 1;
        most = Math.max(most, atOnce);
        served.push(stream);
        await Bun.sleep(5);
        atOnce -= 1;
        return some.map(() => "done" as const);
      },
    }),
  );
  const total = Object.values(entries).reduce((sum, each) => sum + each);
  await until("all is handled", () => served.length === total && atOnce === 0);
  stop.abort();
  await Promise.all(loops);
  return { served, most };
}

const FOUR = { a: 20, b: 20, c: 20, d: 20 };

test("there are never more calls in progress than slots, over all loops together", async () => {
  expect((await serve({ entries: FOUR, slots: 5 })).most).toBe(5);
});

test("without slots each loop has its own in flight", async () => {
  expect((await serve({ entries: FOUR })).most).toBe(32);
});

test("a single busy stream has as many in flight as its loop allows", async () => {
  expect((await serve({ entries: { a: 40, b: 0, c: 0, d: 0 }, slots: 24 })).most).toBe(8);
});

test("a long stream does not keep a short one waiting", async () => {
  const { served } = await serve({ entries: { long: 200, short: 5 }, slots: 2 });
  // They alternate: nine entries of the long one are read before the first of the short one can be.
  expect(served.lastIndexOf("short")).toBeLessThan(40);
});
