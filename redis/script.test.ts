import { afterAll, beforeAll, expect, test } from "bun:test";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { asList, defineScript } from "./script.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});

interface Args {
  readonly key: string;
  readonly keys: readonly string[];
  readonly sum: number;
  readonly words: readonly string[];
}

/** Replies what it sees by each name. */
const echo = defineScript<Args, readonly unknown[]>({
  name: "echo",
  lua: `
local seen = {}
for left, right in rows() do seen[#seen + 1] = left .. (right or '-') end
return {first, second, sum, word, KEYS[rest_keys] or '', ARGV[rest] or '', seen}
`,
  keys: {
    first: ({ key }) => `${key}:first`,
    second: ({ key }) => `${key}:second`,
  },
  args: {
    sum: ({ sum }) => sum,
    word: ({ words }) => words[0] ?? "",
  },
  restKeys: ({ keys }) => keys,
  rest: ({ words }) => words,
  columns: ["left", "right"],
  reply: asList,
});

test("a script sees each key and argument under its own name, and then the rest", async () => {
  const args = { key: "k", keys: ["k:a", "k:b"], sum: 7, words: ["a", "b", "c", "d"] };
  expect(await redis.run(echo, args)).toEqual([
    "k:first",
    "k:second",
    "7",
    "a",
    "k:a",
    "a",
    ["ab", "cd"],
  ]);
});

test("a rest may be empty", async () => {
  const args = { key: "k", keys: [], sum: 0, words: [] };
  expect(await redis.run(echo, args)).toEqual(["k:first", "k:second", "0", "", "", "", []]);
});

test("a script may have many more rows than Lua takes arguments of a call", async () => {
  const words = Array.from({ length: 40_000 }, (_, index) => String(index));
  const reply = await redis.run(echo, { key: "k", keys: [], sum: 0, words });
  expect(reply.at(-1)).toHaveLength(20_000);
});
