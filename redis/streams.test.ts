import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { deadLetters, trim } from "./streams.ts";

const STREAM = "home:{0}:signals";
const GROUPS = ["recorder", "chain"];

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  for (const group of GROUPS) {
    await redis.send("XGROUP", "CREATE", STREAM, group, "0", "MKSTREAM");
  }
});

async function add(...ids: string[]): Promise<void> {
  for (const id of ids) await redis.send("XADD", STREAM, id, "f", "1");
}

/** Delivers the next entries to a group, and acknowledges the named ones. */
async function deliver(group: string, count: number, ...acknowledged: string[]): Promise<void> {
  const read = ["GROUP", group, "one", "COUNT", String(count), "STREAMS", STREAM, ">"];
  await redis.send("XREADGROUP", ...read);
  if (acknowledged.length > 0) await redis.send("XACK", STREAM, group, ...acknowledged);
}

const left = () => redis.entryIds(STREAM);
const trimmed = (groups: readonly string[] = GROUPS) => redis.run(trim, { stream: STREAM, groups });

describe("a stream is trimmed only below", () => {
  test("what every group has been delivered (P9)", async () => {
    await add("1-0", "2-0", "3-0");
    await deliver("recorder", 3, "1-0", "2-0", "3-0");
    expect(await trimmed()).toBe(0);
    await deliver("chain", 2, "1-0", "2-0");
    expect(await trimmed()).toBe(1);
    expect(await left()).toEqual(["2-0", "3-0"]);
  });

  test("what every group has acknowledged: a pending entry stays, and all after it (P9)", async () => {
    await add("1-0", "2-0", "3-0", "4-0");
    await deliver("recorder", 4, "1-0", "2-0", "3-0", "4-0");
    await deliver("chain", 4, "1-0", "3-0", "4-0");
    expect(await trimmed()).toBe(1);
    expect(await left()).toEqual(["2-0", "3-0", "4-0"]);
    await redis.send("XACK", STREAM, "chain", "2-0");
    expect(await trimmed()).toBe(2);
    expect(await left()).toEqual(["4-0"]);
  });

  test("the first needed entry, compared as numbers and not as texts: in one millisecond and with another length", async () => {
    await add("9-0", "10-2", "10-10", "10-11");
    await deliver("recorder", 4, "9-0", "10-2", "10-10", "10-11");
    await deliver("chain", 4, "10-10", "10-11");
    expect(await trimmed()).toBe(0);
    await redis.send("XACK", STREAM, "chain", "9-0");
    expect(await trimmed()).toBe(1);
    expect(await left()).toEqual(["10-2", "10-10", "10-11"]);
    await redis.send("XACK", STREAM, "chain", "10-2");
    await trimmed();
    expect(await left()).toEqual(["10-11"]);
  });
});

describe("nothing is trimmed", () => {
  test("if a required group is missing: it may be about to read everything", async () => {
    await add("1-0", "2-0");
    for (const group of GROUPS) await deliver(group, 2, "1-0", "2-0");
    await redis.send("XGROUP", "DESTROY", STREAM, "chain");
    expect(await trimmed()).toBe(0);
    expect(await left()).toEqual(["1-0", "2-0"]);
  });

  test("that an unlisted group still waits for", async () => {
    await add("1-0", "2-0");
    for (const group of GROUPS) await deliver(group, 2, "1-0", "2-0");
    await redis.send("XGROUP", "CREATE", STREAM, "other", "0");
    expect(await trimmed()).toBe(0);
    expect(await trimmed([])).toBe(0);
  });

  test("if there is no stream, and none is created", async () => {
    await redis.clear();
    expect(await trimmed()).toBe(0);
    expect(await redis.send("EXISTS", STREAM)).toBe(0);
  });
});

test("dead letters are in the slot of their stream", () => {
  expect(deadLetters(STREAM)).toContain("{0}");
  expect(deadLetters(STREAM)).not.toBe(STREAM);
});
