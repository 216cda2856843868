import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { deadLetters, failuresKey, GROUPS, MAX_DEAD_LETTERS } from "../../redis/streams.ts";
import { startRedis, type TestRedis } from "../../tests/support/redis.ts";
import { until } from "../../tests/support/wait.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";
import { consume, MOST_FAILURES, type Consumption } from "./consume.ts";
import type { Entry } from "./entries.ts";
import { Unavailable } from "./outage.ts";

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

const textsOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ fields }) => fields.get("text") ?? "");
const lettersOf = async (): Promise<[string, string[]][]> =>
  (await redis.send("XRANGE", [deadLetters("s"), "-", "+"])) as [string, string[]][];

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

  test("handles together all entries that arrive while it waits", async () => {
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

  test("tries an entry again that its handler could not finish", async () => {
    await add("a");
    let failures = 3;
    const seen: string[] = [];
    start({
      handle: (entries) => {
        failures -= 1;
        if (failures >= 0) throw new Error("not now");
        seen.push(...textsOf(entries));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("it is handled", () => seen.length === 1);
    await until("it is acknowledged", async () => (await pending()) === 0);
    expect(await redis.send("EXISTS", [failuresKey("s")])).toBe(0);
  });

  test("one entry that always fails delays no other, and becomes a dead letter with the error's name", async () => {
    for (let index = 0; index < 120; index += 1) await add(index === 1 ? "bad" : String(index));
    const seen: string[] = [];
    const counts = new Map<string, number>();
    start({
      batch: 50,
      count: (result, entries) => counts.set(result, (counts.get(result) ?? 0) + entries),
      handle: (entries) => {
        const texts = textsOf(entries);
        if (texts.includes("bad")) throw new RangeError("a secret of the payload");
        seen.push(...texts);
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("all others are handled", () => seen.length === 119);
    expect(await redis.send("XLEN", [deadLetters("s")])).toBe(0);
    await until("it is a dead letter", async () => (await lettersOf()).length === 1, 10_000);
    const [[, fields] = ["", []]] = await lettersOf();
    expect(fields).toEqual(
      expect.arrayContaining([
        "reason",
        `failed ${MOST_FAILURES} times, the last time with RangeError`,
      ]),
    );
    expect(fields.join()).not.toContain("secret");
    expect(await pending()).toBe(0);
    expect([counts.get("handled"), counts.get("dead")]).toEqual([119, 1]);
    expect(counts.get("retried")).toBeGreaterThanOrEqual(MOST_FAILURES);
  });

  test("failures are counted over restarts and consumers", async () => {
    await add("bad");
    let tries = 0;
    const handle = (): Promise<never> => {
      tries += 1;
      return Promise.reject(new TypeError("no"));
    };
    start({ handle });
    await until("it has failed some times", () => tries === 4);
    stop.abort();
    await Promise.all(loops);
    stop = new AbortController();
    start({ handle, consumer: "two", reclaimIdleMs: 10 });
    await until("it is a dead letter", async () => (await lettersOf()).length === 1, 15_000);
    expect(tries).toBeLessThanOrEqual(MOST_FAILURES + 1);
  });

  test("an entry that fails in one worker can be reclaimed and finished by another", async () => {
    await add("a");
    let tries = 0;
    start({
      handle: () => {
        tries += 1;
        return Promise.reject(new TypeError("an old version"));
      },
    });
    await until("the first has failed", () => tries >= 2);
    let seen = 0;
    start({
      consumer: "two",
      reclaimIdleMs: 10,
      handle: (entries) => {
        seen += entries.length;
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("the second finishes it", () => seen === 1);
    await until("it is acknowledged", async () => (await pending()) === 0);
    expect(await lettersOf()).toEqual([]);
  });

  test("an entry that Redis lost meanwhile is not handled again from memory", async () => {
    await add("lost");
    const tries: string[] = [];
    start({
      batch: 1,
      handle: (entries) => {
        tries.push(...textsOf(entries));
        return Promise.resolve(["later"]);
      },
    });
    await until("it waits", () => tries.length === 2);
    await redis.send("DEL", ["s"]);
    await redis.send("XGROUP", ["CREATE", "s", "g", "0", "MKSTREAM"]);
    await add("other");
    const others = (): number => tries.filter((text) => text === "other").length;
    await until("the next one is tried", () => others() === 1);
    const before = tries.length - others();
    await until("it is tried again and again", () => others() === 5);
    expect(tries.length - others()).toBe(before);
  });

  test("an outage does not count as a failure of an entry, however long it lasts", async () => {
    for (let index = 0; index < 3; index += 1) await add(String(index));
    let tries = 0;
    let isAway = true;
    const seen: string[] = [];
    start({
      mostFailures: 2,
      handle: (entries) => {
        tries += 1;
        if (isAway) throw new Unavailable("the store is away");
        seen.push(...textsOf(entries));
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("it was tried again and again", () => tries > 5, 20_000);
    isAway = false;
    await until("all are handled", () => seen.length === 3);
    expect(await lettersOf()).toEqual([]);
    expect(await redis.send("EXISTS", [failuresKey("s")])).toBe(0);
  }, 30_000);

  test("an entry that must wait does not count as failed, and delays no other", async () => {
    await add("early");
    let waits = 0;
    const seen: string[] = [];
    start({
      batch: 1,
      handle: (entries) => {
        const [text = ""] = textsOf(entries);
        if (text === "early" && !seen.includes("late")) {
          waits += 1;
          return Promise.resolve(["later"]);
        }
        seen.push(text);
        return Promise.resolve(["done"]);
      },
    });
    await until("it has waited", () => waits > 2);
    await add("late");
    await until("both are handled", () => seen.length === 2);
    expect(seen).toEqual(["late", "early"]);
    expect(await redis.send("EXISTS", [failuresKey("s")])).toBe(0);
  });

  test("waiting entries come again even if there are more than it keeps in memory", async () => {
    const count = 1_300;
    for (let index = 0; index < count; index += 1) await add(String(index));
    let isOpen = false;
    let last = false;
    const seen = new Set<string>();
    start({
      batch: 100,
      concurrency: 4,
      handle: (entries) => {
        last ||= textsOf(entries).includes(String(count - 1));
        if (!isOpen) return Promise.resolve(entries.map(() => "later" as const));
        for (const text of textsOf(entries)) seen.add(text);
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until("the last was read", () => last);
    isOpen = true;
    await until("all are handled", () => seen.size === count);
  });

  test("the last report on an entry is made before it becomes a dead letter", async () => {
    await add("bad");
    const said: string[] = [];
    start({
      mostFailures: 2,
      handle: () => Promise.reject(new TypeError("no")),
      giveUp: async (entry) => {
        said.push(...textsOf([entry]));
        expect(await lettersOf()).toEqual([]);
        // Like a reporting script, which acknowledges by itself.
        await redis.send("XACK", ["s", "g", entry.id]);
        return "acked";
      },
    });
    await until("it is a dead letter", async () => (await lettersOf()).length === 1);
    expect(said).toEqual(["bad"]);
    expect(await pending()).toBe(0);
  });

  test("an entry that may never be given up is tried without limit", async () => {
    await add("bad");
    let tries = 0;
    start({
      mostFailures: Number.POSITIVE_INFINITY,
      handle: (entries) => {
        tries += 1;
        if (tries <= MOST_FAILURES) throw new TypeError("no");
        return Promise.resolve(entries.map(() => "done" as const));
      },
    });
    await until(
      "it is handled in the end",
      async () => tries > 0 && (await pending()) === 0,
      20_000,
    );
    expect(tries).toBeGreaterThan(MOST_FAILURES);
    expect(await lettersOf()).toEqual([]);
  }, 30_000);

  test("reads at its start the entries that its previous run left unfinished", async () => {
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

  test("moves an unreadable entry to the dead letters with its reason, and continues", async () => {
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

  test("keeps the newest dead letters, up to the limit", async () => {
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

  test("runs as many handlers at once as allowed, and not more", async () => {
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

  test("continues after Redis was killed and restarted, and loses no entry", async () => {
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
    // Housekeeping has run by now, or runs while the second group, which is behind, still needs
    // everything.
    await redis.send("XGROUP", ["CREATE", "s", "chain", "0"]);
    await redis.send("XREADGROUP", ["GROUP", "chain", "c", "COUNT", "4", "STREAMS", "s", ">"]);
    await add("5");
    expect(await length()).toBe(6);
    const ids = (await redis.send("XRANGE", ["s", "-", "+"])) as [string][];
    await redis.send("XACK", ["s", "chain", ids[0]?.[0] ?? "", ids[1]?.[0] ?? ""]);
    await until("the first two are trimmed", async () => (await length()) === 4);
  });
});
