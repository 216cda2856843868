import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { HomeKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, signalIdOf } from "../../../tests/support/signals.ts";
import { restoreLog, type RestoreLogArgs } from "./log.ts";

const HOME = new HomeKeys(0);
const { channel } = acceptedOpen();
const CHANNEL_KEY = HOME.channel(channel);
const HEAD_KEY = HOME.chainHead(channel);

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

/** Records these signals, and the channel's chain up to `linked`. */
async function restore(linked: number, ...sequences: number[]): Promise<boolean> {
  const args: RestoreLogArgs = {
    home: HOME,
    channel,
    head: linked === 0 ? null : { sequence: linked, hash: "a".repeat(64) },
    signals: sequences.map((sequence) => ({
      signal: acceptedOpen({ id: signalIdOf(sequence), sequence }),
      sha256: "f".repeat(64),
      followers: 3,
    })),
  };
  return await redis.run(restoreLog, args);
}

const sequence = async () => Number(await redis.send("HGET", CHANNEL_KEY, "sequence"));
const head = async () =>
  JSON.parse(String(await redis.send("GET", HEAD_KEY))) as { readonly sequence: number };
/** The entries to be linked: each number, and the number it follows. */
const waiting = async () =>
  (await redis.entries(HOME.signals)).map((fields) => [
    (JSON.parse(fields.get("signal") ?? "{}") as { readonly sequence?: number }).sequence,
    Number(fields.get("after")),
  ]);

test("a home that lost everything continues numbers and links after the last recorded ones", async () => {
  expect(await restore(3, 2, 3, 4, 5)).toBe(true);
  expect(await sequence()).toBe(5);
  expect((await head()).sequence).toBe(3);
  expect(await waiting()).toEqual([
    [4, 3],
    [5, 4],
  ]);
});

test("the chain continues over a number that is lost for good, and the next signal names the one it follows", async () => {
  await restore(3, 3, 6, 7);
  expect(await sequence()).toBe(7);
  expect(await waiting()).toEqual([
    [6, 3],
    [7, 6],
  ]);
});

test("a home that lost its tail gets only the missing signals", async () => {
  await redis.send("HSET", CHANNEL_KEY, "sequence", "4");
  await redis.send("SET", HEAD_KEY, JSON.stringify({ sequence: 4, hash: "b".repeat(64) }));
  expect(await restore(3, 3, 4, 5)).toBe(true);
  expect(await sequence()).toBe(5);
  expect(await head()).toEqual({ sequence: 4, hash: "b".repeat(64) } as never);
  expect(await waiting()).toEqual([[5, 4]]);
});

test("a home that is ahead of the records, because they lag, does not change", async () => {
  await redis.send("HSET", CHANNEL_KEY, "sequence", "9");
  await redis.send("SET", HEAD_KEY, JSON.stringify({ sequence: 8, hash: "b".repeat(64) }));
  const before = await redis.everything();
  expect(await restore(7, 6, 7, 8)).toBe(false);
  expect(await redis.everything()).toEqual(before);
});

test("a second restore changes nothing", async () => {
  await restore(3, 4, 5);
  const before = await redis.everything();
  expect(await restore(3, 4, 5)).toBe(false);
  expect(await redis.everything()).toEqual(before);
});

test("a channel without records starts at number 1", async () => {
  expect(await restore(0)).toBe(false);
  expect(await restore(0, 1)).toBe(true);
  expect(await waiting()).toEqual([[1, 0]]);
});
