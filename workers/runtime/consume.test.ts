import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { deadLetters, GROUPS, MAX_DEAD_LETTERS } from "../../redis/streams.ts";
import { startRedis, type TestRedis } from "../../tests/support/redis.ts";
import { until } from "../../tests/support/wait.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";
import { consume, type Consumption } from "./consume.ts";

let server: TestRedis;
let redis: Redis;
let stop = new AbortController();
let loops: Promise<void>[] = [];

beforeAll(async () => {
  server = await startRedis({ appendOnly: true });
  redis = connectRedis(server.url);
});
afterEach(async () => {
  stop.abort();
  await Promise.all(loops);
  stop = new AbortController();
  loops = [];
  await redis.send("FLUSHALL", []);
});
afterAll(async () => {
  redis.close();
  await server.stop();
});

function start(options: Partial<Consumption> & Pick<Consumption, "handle">): void {
  loops.push(
    consume({
      connect: () => connectRedis(server.url),
      clock: SYSTEM_CLOCK,
      redis,
      stream: "s",
      group: "g",
      consumer: "one",
      batch: 10,
      concurrency: 1,
      reclaimIdleMs: 60_000,
      stop: stop.signal,
      ...options,
    }),
  );
}

const add = (text: string) => redis.send("XADD", ["s", "*", "text", text]);
const pending = async () => ((await redis.send("XPENDING", ["s", "g"])) as [number])[0];

/** How often loops have read since this Redis was started. */
async function readsOf(): Promise<number> {
  const stats = String(await redis.send("INFO", ["commandstats"]));
  return Number(/cmdstat_xreadgroup:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

describe("consume", () => {
  test("handles entries in order, those from before its group too, and acknowledges them", async () => {
    await add("a");
    await add("b");
    const seen: string[] = [];
    start({
      handle: (entries) => {
        seen.push(...entries.map(({ fields }) => fields.get("text") ?? ""));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("two are handled", () => seen.length === 2);
    await add("c");
    await until("the third is handled", () => seen.length === 3);
    expect(seen).toEqual(["a", "b", "c"]);
    await until("all are acknowledged", async () => (await pending()) === 0);
  });

  test("handles in one go what arrives while it gathers", async () => {
    const calls: string[][] = [];
    start({
      gatherMs: 300,
      handle: (entries) => {
        calls.push(entries.map(({ fields }) => fields.get("text") ?? ""));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await add("a");
    await until("the first is handled", () => calls.length === 1);
    await add("b");
    await add("c");
    await until("the others are handled", () => calls.length > 1);
    expect(calls).toEqual([["a"], ["b", "c"]]);
  });

  test("tries again what its handler could not finish, before anything newer", async () => {
    await add("a");
    let failures = 3;
    const seen: string[] = [];
    start({
      handle: async (entries) => {
        if (failures > 0) {
          failures -= 1;
          if (failures === 1) await add("b");
          throw new Error("not now");
        }
        seen.push(...entries.map(({ fields }) => fields.get("text") ?? ""));
        return entries.map(() => "done" as const);
      },
    });
    await until("both are handled", () => seen.length === 2);
    expect(seen).toEqual(["a", "b"]);
  });

  test("takes up at its start what its former life left unfinished", async () => {
    await add("a");
    await redis.send("XGROUP", ["CREATE", "s", "g", "0"]);
    await redis.send("XREADGROUP", ["GROUP", "g", "one", "STREAMS", "s", ">"]);
    const seen: string[] = [];
    start({
      handle: (entries) => {
        seen.push(...entries.map(({ id }) => id));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("the leaving is handled", () => seen.length === 1);
    await until("it is acknowledged", async () => (await pending()) === 0);
  });

  test("reclaims what another consumer has left idle", async () => {
    await add("a");
    await redis.send("XGROUP", ["CREATE", "s", "g", "0"]);
    await redis.send("XREADGROUP", ["GROUP", "g", "dead", "STREAMS", "s", ">"]);
    const seen: string[] = [];
    start({
      reclaimIdleMs: 50,
      handle: (entries) => {
        seen.push(...entries.map(({ id }) => id));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("it is reclaimed", () => seen.length === 1);
  });

  test("moves an entry that cannot be read to the dead letters with its reason, and goes on", async () => {
    await add("bad");
    await add("good");
    start({
      handle: (entries) =>
        Promise.resolve(
          entries.map(({ fields }) =>
            fields.get("text") === "bad" ? { dead: "it is bad" } : ("done" as const),
          ),
        ),
    });
    await until("one is buried", async () => (await redis.send("XLEN", [deadLetters("s")])) === 1);
    await until("the other is handled too", async () => (await pending()) === 0);
    const [letter] = (await redis.send("XRANGE", [deadLetters("s"), "-", "+"])) as [
      [string, string[]],
    ];
    expect(letter[1]).toEqual(
      expect.arrayContaining(["reason", "it is bad", "group", "g", "text", "bad"]),
    );
  });

  test("keeps the newest of its dead letters, and no more than it may", async () => {
    const dead = deadLetters("s");
    await Promise.all(
      Array.from({ length: MAX_DEAD_LETTERS }, () =>
        redis.send("XADD", [dead, "*", "reason", "old"]),
      ),
    );
    await add("bad");
    start({ handle: (entries) => Promise.resolve(entries.map(() => ({ dead: "new" }))) });
    const newest = async () =>
      (await redis.send("XREVRANGE", [dead, "+", "-", "COUNT", "1"])) as [string, string[]][];
    await until("it is buried", async () => (await newest())[0]?.[1][1] === "new");
    expect(await redis.send("XLEN", [dead])).toBe(MAX_DEAD_LETTERS);
  });

  test("runs as many handlers at once as it may, and not more", async () => {
    for (let index = 0; index < 12; index += 1) await add(String(index));
    let now = 0;
    let most = 0;
    let handled = 0;
    start({
      batch: 1,
      concurrency: 4,
      handle: async (entries) => {
        now += 1;
        most = Math.max(most, now);
        await until("others have started too", () => now === 4 || most === 4);
        now -= 1;
        handled += 1;
        return entries.map(() => "done" as const);
      },
    });
    await until("all are handled", () => handled === 12);
    expect(most).toBe(4);
  });

  test("finishes what it has begun when it is stopped", async () => {
    await add("a");
    let begun = false;
    let finish = (): void => undefined;
    start({
      handle: async (entries) => {
        begun = true;
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return entries.map(() => "done" as const);
      },
    });
    await until("it has begun", () => begun);
    stop.abort();
    finish();
    await Promise.all(loops);
    expect(await pending()).toBe(0);
  });

  test("goes on after Redis was killed and restarted, and loses no entry", async () => {
    const seen = new Set<string>();
    start({
      handle: (entries) => {
        for (const { fields } of entries) seen.add(fields.get("text") ?? "");
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await add("before");
    await until("the first is handled", () => seen.has("before"));
    await server.kill();
    await server.restart();
    await add("after");
    await until("the second is handled", () => seen.has("after"));
  });

  test("what it failed at and another has done since keeps nobody waiting who comes later", async () => {
    const id = await add("never");
    let tries = 0;
    let seen = false;
    start({
      handle: (entries) => {
        tries += 1;
        seen = entries.some(({ fields }) => fields.get("text") === "later");
        return seen ? Promise.resolve(["done"]) : Promise.reject(new Error("not today"));
      },
    });
    await until("it waits for long between its tries", () => tries === 6);
    await redis.send("XACK", ["s", "g", String(id)]);
    const before = await readsOf();
    await until("it sees that nothing is left", async () => (await readsOf()) > before);
    await add("later");
    await until("the next is handled", () => seen, 1_000);
  });

  test("trims only below what every group was delivered and has acknowledged (P9)", async () => {
    for (let index = 0; index < 5; index += 1) await add(String(index));
    const length = () => redis.send("XLEN", ["s"]) as Promise<number>;
    const handle: Consumption["handle"] = (entries) =>
      Promise.resolve(entries.map(() => "done" as const));
    start({ group: "recorder", trimBelow: GROUPS.signals, handle });
    await until("the first group is through", async () => {
      const groups = (await redis.send("XINFO", ["GROUPS", "s"])) as Record<string, unknown>[];
      return groups[0]?.["lag"] === 0 && groups[0]["pending"] === 0;
    });
    // Housekeeping has run by now or runs while the second group, which is behind, holds everything.
    await redis.send("XGROUP", ["CREATE", "s", "chain", "0"]);
    await redis.send("XREADGROUP", ["GROUP", "chain", "c", "COUNT", "4", "STREAMS", "s", ">"]);
    await add("5");
    expect(await length()).toBe(6);
    const ids = (await redis.send("XRANGE", ["s", "-", "+"])) as [string][];
    await redis.send("XACK", ["s", "chain", ids[0]?.[0] ?? "", ids[1]?.[0] ?? ""]);
    await until("the first two are trimmed", async () => (await length()) === 4);
  });
});
