import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId, type ChannelId } from "../../../domain/ids.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { link, overdue } from "./undispatched.ts";

const HOME = new HomeKeys(0);
const CHANNEL = asId<ChannelId>("demo");

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

describe("undispatched signals", () => {
  /** Signals, each accepted this long ago. */
  async function accept(...agesMs: number[]): Promise<void> {
    const nowMs = await redis.nowMs();
    for (const [index, ageMs] of agesMs.entries()) {
      await redis.send("ZADD", HOME.undispatched, String(nowMs - ageMs), signalIdOf(index));
    }
  }
  const find = async (skip: number, limit: number, graceMs = 10_000) => {
    const { oldest, newest } = await redis.run(overdue, { home: HOME, graceMs, skip, limit });
    return [oldest, newest].map((ids) => ids.map((id) => Number.parseInt(id.slice(3), 16)));
  };

  test("are left to their edge for a moment, and are then found, the oldest first", async () => {
    await accept(30_000, 1_000, 20_000, 40_000);
    expect(await find(0, 10)).toEqual([[3, 0, 2], []]);
  });

  test("that are more than the limit are found from both ends: the newest may still be in time", async () => {
    await accept(50_000, 40_000, 30_000, 20_000, 15_000);
    expect(await find(0, 2)).toEqual([
      [0, 1],
      [4, 3],
    ]);
  });

  test("that were just tried are skipped, and the newest are still found", async () => {
    await accept(50_000, 40_000, 30_000, 20_000, 15_000);
    expect(await find(2, 2)).toEqual([
      [2, 3],
      [4, 3],
    ]);
    expect(await find(4, 2)).toEqual([[4], [4, 3]]);
  });

  test("are none where all are confirmed", async () => {
    expect(await find(0, 10)).toEqual([[], []]);
  });
});

describe("a channel's chain (P7)", () => {
  beforeEach(async () => {
    await redis.send("XGROUP", "CREATE", HOME.signals, "chain", "0", "MKSTREAM");
  });

  async function deliver(): Promise<string> {
    const id = String(await redis.send("XADD", HOME.signals, "*", "f", "1"));
    await redis.send("XREADGROUP", "GROUP", "chain", "one", "STREAMS", HOME.signals, ">");
    return id;
  }
  const move = (
    head: string | null,
    newHead: string,
    ...links: { link: string; entry: string }[]
  ) => redis.run(link, { home: HOME, channel: CHANNEL, head, newHead, links });
  const links = async () => (await redis.entries(HOME.links)).map((fields) => fields.get("link"));
  const pending = async () =>
    ((await redis.send("XPENDING", HOME.signals, "chain")) as [number])[0];

  test("grows by its links, in order, and acknowledges their signals in the same step", async () => {
    const [first, second] = [await deliver(), await deliver()];
    const some = [
      { link: "l1", entry: first },
      { link: "l2", entry: second },
    ];
    expect(await move(null, "h2", ...some)).toBe(true);
    expect(await links()).toEqual(["l1", "l2"]);
    expect(await pending()).toBe(0);
    expect(await redis.send("GET", HOME.chainHead(CHANNEL))).toBe("h2");
  });

  test("grows from the head that was read, or not at all: one link never has two successors", async () => {
    await move(null, "h1", { link: "l1", entry: await deliver() });
    const entry = await deliver();
    const before = await redis.everything();
    expect(await move(null, "other", { link: "x", entry })).toBe(false);
    expect(await move("h0", "other", { link: "x", entry })).toBe(false);
    expect(await redis.everything()).toEqual(before);
    expect(await move("h1", "h2", { link: "l2", entry })).toBe(true);
    expect(await links()).toEqual(["l1", "l2"]);
  });
});
