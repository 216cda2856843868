import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { startScriptRedis, type ScriptRedis } from "../../tests/support/scripts.ts";
import { entriesSince, parseClaimed, parseEntries, parseRead } from "./entries.ts";

const STREAM = "{0}:stream";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await redis.send("XGROUP", "CREATE", STREAM, "group", "0", "MKSTREAM");
});

const add = (id: string, ...fields: string[]) => redis.send("XADD", STREAM, id, ...fields);
const read = () => redis.send("XREADGROUP", "GROUP", "group", "one", "STREAMS", STREAM, ">");

test("entries are read with their fields, in order, and an empty stream has none", async () => {
  expect(parseRead(await read())).toEqual([]);
  await add("1-0", "a", "1", "b", "2");
  await add("2-0", "a", "");
  expect(parseRead(await read())).toEqual([
    {
      id: "1-0",
      fields: new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
    },
    { id: "2-0", fields: new Map([["a", ""]]) },
  ]);
});

test("pending entries of another consumer are claimed, except for deleted ones", async () => {
  await add("1-0", "a", "1");
  await add("2-0", "a", "2");
  await read();
  await redis.send("XDEL", STREAM, "1-0");
  const claimed = await redis.send("XAUTOCLAIM", STREAM, "group", "two", "0", "0");
  expect(parseClaimed(claimed)).toEqual([{ id: "2-0", fields: new Map([["a", "2"]]) }]);
});

test("an entry that was deleted while it was pending has no fields", () => {
  expect(parseEntries([["1-0", null]])).toEqual([{ id: "1-0", fields: new Map() }]);
});

test("a long stream is read page by page, from its beginning or from a time, each entry once", async () => {
  const ids = Array.from({ length: 7 }, (_, index) => `${10 + Math.floor(index / 2)}-${index % 2}`);
  for (const id of ids) await add(id, "f", "1");
  for (const pageSize of [1, 2, 3, 7, 100]) {
    const all = await Array.fromAsync(entriesSince(redis.client, STREAM, "-", pageSize));
    expect(all.map(({ id }) => id)).toEqual(ids);
    const later = await Array.fromAsync(entriesSince(redis.client, STREAM, 11, pageSize));
    expect(later.map(({ id }) => id)).toEqual(ids.slice(2));
  }
  expect(await Array.fromAsync(entriesSince(redis.client, "{0}:none", "-"))).toEqual([]);
});
