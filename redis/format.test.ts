import { RedisClient } from "bun";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { startRedis, type TestRedis } from "../tests/support/redis.ts";
import {
  compareFormat,
  FORMAT_VERSION,
  partitionsText,
  readRaise,
  storedPartitions,
  type RunAll,
  deskKeysInUse,
} from "./format.ts";
import { formatKey, HomeKeys, RegionKeys } from "./keys.ts";

let server: TestRedis;
let client: RedisClient;
let runs = 0;

const runAll: RunAll = async (script, each) => {
  runs += each.length;
  return await Promise.all(
    each.map(async (args) => {
      const keys = script.keys(args);
      const words = [script.lua, String(keys.length), ...keys, ...script.args(args)];
      return script.reply(await client.send("EVAL", words), args);
    }),
  );
};
const header = async (partition: number) => await client.send("HGETALL", [formatKey(partition)]);
const written = (partitions: number) => ({
  version: String(FORMAT_VERSION),
  partitions: String(partitions),
});
const whyOf = async (partitions: number) => {
  const reply = await compareFormat(runAll, partitions);
  return reply.kind === "differs" ? reply.why : reply.kind;
};

beforeAll(async () => {
  server = await startRedis();
  client = new RedisClient(server.url);
});
afterAll(async () => {
  client.close();
  await server.stop();
});
beforeEach(async () => {
  await client.send("FLUSHALL", []);
  runs = 0;
});

describe("a Redis that was never used", () => {
  test("stores the first number in every partition, and then refuses any other", async () => {
    expect(await storedPartitions(runAll)).toBeUndefined();
    expect(await compareFormat(runAll, 3)).toEqual({ kind: "same", lost: [] });
    expect(await Promise.all([0, 1, 2].map(header))).toEqual([written(3), written(3), written(3)]);
    expect(await client.send("KEYS", ["*"])).toHaveLength(3);

    expect(await storedPartitions(runAll)).toBe(3);
    expect(await compareFormat(runAll, 3)).toEqual({ kind: "same", lost: [] });
    for (const other of [1, 2, 4, 1024]) {
      expect(await whyOf(other)).toBe(
        `its data are in 3 partitions, and this process is set for ${other}: set FANFARE_PARTITIONS to 3`,
      );
    }
    expect(await client.send("KEYS", ["*"])).toHaveLength(3);
  });

  test("asked by two at once with different numbers, stores one of them everywhere and refuses the other", async () => {
    for (let round = 0; round < 20; round += 1) {
      await client.send("FLUSHALL", []);
      const kinds = await Promise.all([2, 4, 3].map((count) => compareFormat(runAll, count)));
      const won = [2, 4, 3].filter((_, index) => kinds[index]?.kind === "same");
      expect(won).toHaveLength(1);
      expect(await client.send("KEYS", ["*"])).toHaveLength(won[0]!);
      expect(await storedPartitions(runAll)).toBe(won[0]!);
    }
  });
});

test("a Redis that was compared before is asked only about its own partitions", async () => {
  await compareFormat(runAll, 4);
  runs = 0;
  await compareFormat(runAll, 4);
  expect(runs).toBe(4);
});

describe("a format that this release does not know", () => {
  test("is refused where it is newer, and where it cannot be read", async () => {
    await client.send("HSET", [formatKey(0), "version", "2", "partitions", "4"]);
    expect(await whyOf(4)).toStartWith(
      "its data have format version 2, and this release reads up to 1: start the release",
    );
    for (const [version, partitions] of [
      ["1", "four"],
      ["", "4"],
      ["1", "0"],
      ["1", "5000"],
    ] as const) {
      await client.send("DEL", [formatKey(0)]);
      await client.send("HSET", [formatKey(0), "version", version, "partitions", partitions]);
      expect(await whyOf(4)).toStartWith("its format cannot be read");
    }
  });
});

describe("a Redis that an earlier release filled without a format entry", () => {
  const recorded = async (partitions: number) => {
    for (let partition = 0; partition < partitions; partition += 1) {
      const { links } = new HomeKeys(partition);
      await client.send("XGROUP", ["CREATE", links, "recorder", "0", "MKSTREAM"]);
    }
  };

  test("gets the number that its data have", async () => {
    await recorded(4);
    await client.send("HSET", [deskKeysInUse(3)[0] ?? "", "account", "1"]);
    expect(await compareFormat(runAll, 4)).toEqual({ kind: "same", lost: [] });
    expect(await header(3)).toEqual(written(4));
  });

  test("refuses a smaller number if any key is in a partition that would not be used", async () => {
    for (const key of [
      new HomeKeys(7).signals,
      new HomeKeys(7).halts,
      new RegionKeys(7).layers,
      deskKeysInUse(7)[0] ?? "",
    ]) {
      await client.send("FLUSHALL", []);
      await client.send("HSET", [key, "some", "thing"]);
      expect(await whyOf(4)).toStartWith("its data are in at least 8 partitions");
      expect(await storedPartitions(runAll)).toBeUndefined();
    }
  });

  test("refuses a larger number if a recorder has worked on fewer, unless forced", async () => {
    await recorded(2);
    expect(await whyOf(4)).toStartWith("its data seem to be in 2 partitions");
    expect(await storedPartitions(runAll)).toBeUndefined();
    await client.send("HSET", [formatKey(0), "version", "1", "partitions", "4"]);
    expect(await whyOf(4)).toBe("same");
  });

  test("with data only in some partitions is accepted as it is", async () => {
    await client.send("XADD", [new HomeKeys(2).signals, "*", "id", "s"]);
    expect(await whyOf(4)).toBe("same");
  });
});

test("partitions whose node lost its data are named, and marked again", async () => {
  await compareFormat(runAll, 4);
  for (const partition of [0, 1, 2])
    await client.send("XADD", [new HomeKeys(partition).signals, "*", "id", "s"]);
  await client.send("DEL", [formatKey(0), new HomeKeys(0).signals, formatKey(3)]);
  expect(await whyOf(8)).toStartWith("its data are in 4 partitions");
  expect(await compareFormat(runAll, 4)).toEqual({ kind: "same", lost: [0, 3] });
  expect(await header(0)).toEqual(written(4));
  expect(await compareFormat(runAll, 4)).toEqual({ kind: "same", lost: [] });
});

describe("a number that is being raised", () => {
  const raise = { from: 2, to: 4, atMs: 1_796_000_000_000 };
  const copying = partitionsText({ ...raise, isCopied: false });
  const removing = partitionsText({ ...raise, isCopied: true });
  const write = async (...texts: (string | undefined)[]) => {
    await client.send("FLUSHALL", []);
    for (const [partition, text] of texts.entries()) {
      if (text === undefined) continue;
      await client.send("HSET", [formatKey(partition), "version", "1", "partitions", text]);
    }
  };

  test.each([
    ["begun", [copying, "2"], false],
    ["copying", [copying, copying], false],
    ["copied, as one says", [removing, copying], true],
    ["copied, as a later one says", [copying, removing], true],
    ["removing", [removing, removing, removing, removing], true],
    ["almost done", ["4", "4", "4", removing], true],
  ] as const)(
    "is refused by every process while it is %s, and is known to the command that continues",
    async (_, texts, isCopied) => {
      await write(...texts);
      const standing = await Promise.all([0, 1, 2, 3].map(header));
      for (const wanted of [2, 4, 8]) expect(await whyOf(wanted)).not.toBe("same");
      expect(await whyOf(texts[0] === "4" ? 4 : 2)).toBe(
        "its data are on their way from 2 to 4 partitions: run `npm run partitions -- 4` to its end",
      );
      expect(await readRaise(runAll)).toEqual({ kind: "raising", raise: { ...raise, isCopied } });
      expect(await Promise.all([0, 1, 2, 3].map(header))).toEqual(standing);
    },
  );

  test("is no number to a release that knows nothing of raising", () => {
    for (const text of [copying, removing]) expect(text).not.toMatch(/^\d{1,9}$/);
  });

  test("must be whole before it begins", async () => {
    expect(await readRaise(runAll)).toMatchObject({ kind: "unfit" });
    await write("2", "2");
    expect(await readRaise(runAll)).toEqual({ kind: "still", partitions: 2 });
    await write("2", undefined);
    expect(await readRaise(runAll)).toMatchObject({
      why: "partition 1 has lost its data: run roster:rebuild and desk:restore first",
    });
    await write("2", "two");
    expect(await readRaise(runAll)).toMatchObject({
      why: expect.stringContaining("cannot be read"),
    });
  });
});
