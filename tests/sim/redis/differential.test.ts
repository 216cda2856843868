/**
 * Compares the simulated Redis with a real one: the same calls give the same replies and the same
 * data.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { accept } from "../../../redis/accept.ts";
import { intend } from "../../../workers/copier/stored/intents.ts";
import { formatKey } from "../../../redis/keys.ts";
import { openRedis } from "../../support/own-redis.ts";
import { Random } from "../random.ts";
import { randomCall } from "./calls.ts";
import { clientReply, Engine } from "./engine.ts";
import { RedisError } from "./values.ts";

setDefaultTimeout(60_000);

const SEQUENCES = 100;
const CALLS = 60;

type Send = (command: string, args: string[]) => Promise<unknown>;

const { redis: client } = await openRedis();

/**
 * Both use the machine's time, a moment apart: a current time becomes `T`, and an id made from it
 * `#`. Ids in a call stay.
 */
function mask(value: unknown): unknown {
  if (typeof value === "number") return value > 1.7e12 && value < 2e12 ? "T" : value;
  if (typeof value === "string") {
    // Each server has a different id.
    if (/^[0-9a-f]{40}$/.test(value)) return "@";
    return value.replaceAll(/\b1[789]\d{11}(-\d+)?\b/g, (_, seq?: string) => (seq ? "#" : "T"));
  }
  if (Array.isArray(value)) return value.map(mask);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, mask(each)]));
}

/** An error's text; for an error of a script, without the parts that contain the script's name. */
function faultText(command: string, message: string): string {
  return command === "EVAL" ? `error ${message.split(" ")[0]}` : `error ${message}`;
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** The fields of a hash have no particular order, so those inside a script's reply are sorted. */
function sortHashes(script: string | undefined, reply: unknown): unknown {
  if (script !== intend.lua || !Array.isArray(reply)) return reply;
  return reply.map((each: unknown) =>
    Array.isArray(each) ? each.map(String).toSorted(compareTexts) : each,
  );
}

/** Signals accepted in the same millisecond have no particular order. */
function passMillisecond(): void {
  const nowMs = Date.now();
  while (Date.now() === nowMs);
}

async function readReply(send: Send, command: string, args: string[]): Promise<unknown> {
  try {
    const reply = await send(command, args);
    // Sets have no order.
    return command === "SMEMBERS" ? (reply as string[]).toSorted() : reply;
  } catch (error) {
    return faultText(command, (error as Error).message);
  }
}

const READERS: Readonly<Record<string, (key: string) => [string, string[]]>> = {
  string: (key) => ["GET", [key]],
  hash: (key) => ["HGETALL", [key]],
  set: (key) => ["SMEMBERS", [key]],
  zset: (key) => ["ZRANGE", [key, "0", "-1"]],
  list: (key) => ["LRANGE", [key, "0", "-1"]],
  stream: (key) => ["XRANGE", [key, "-", "+"]],
};

async function dump(send: Send): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const key of ((await send("KEYS", ["*"])) as string[]).toSorted()) {
    const type = (await send("TYPE", [key])) as string;
    const expires = ((await send("PTTL", [key])) as number) > 0;
    all.push(key, type, expires, await readReply(send, ...READERS[type]!(key)));
    if (type !== "stream") continue;
    for (const group of ["workers", "chain", "g", "h"]) {
      const pending = await readReply(send, "XPENDING", [key, group, "-", "+", "100"]);
      // The idle time of an entry differs by the moment between the two.
      all.push(Array.isArray(pending) ? pending.map((each) => (each as []).toSpliced(2, 1)) : "-");
    }
  }
  return all;
}

test(`has the same replies and data as the real one, over ${SEQUENCES} random sequences of commands and scripts`, async () => {
  const real: Send = (command, args) => client.send(command, args);
  for (let seed = 1; seed <= SEQUENCES; seed += 1) {
    await client.send("FLUSHALL", []);
    const engine = new Engine();
    const simulated: Send = async (command, args) =>
      clientReply(engine.execute(command, args, Date.now()).reply);
    const random = new Random(seed);
    if (random.chance(0.9)) {
      // Elsewhere the scripts say that it is not filled.
      for (const send of [real, simulated]) {
        await send("HSET", [formatKey(0), "homeSinceMs", "1", "regionSinceMs", "1"]);
      }
    }
    for (let index = 0; index < CALLS; index += 1) {
      const [command, args] = randomCall(random);
      if (args[0] === accept.lua) passMillisecond();
      const wanted = sortHashes(args[0], mask(await readReply(real, command, args)));
      const got = sortHashes(args[0], mask(await readReply(simulated, command, args)));
      if (!Bun.deepEquals(got, wanted)) {
        throw new Error(
          `seed ${seed}, call ${index}: ${JSON.stringify([command, args])}\n  real:      ${JSON.stringify(wanted)}\n  simulated: ${JSON.stringify(got)}`,
        );
      }
    }
    const what = `seed ${seed}`;
    const simulatedDump = mask(await dump(simulated));
    expect([what, simulatedDump]).toEqual([what, mask(await dump(real))]);
  }
});

test("refuses a command that it does not know, instead of guessing what Redis would do", () => {
  expect(() => new Engine().execute("GEOADD", ["key"], 0)).toThrow("does not know GEOADD");
  expect(() => new Engine().execute("GEOADD", ["key"], 0)).not.toThrow(RedisError);
});
