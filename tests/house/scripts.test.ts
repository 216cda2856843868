/** Scripts name their keys and arguments (`defineScript`), and none counts them by hand. */
import { expect, test } from "bun:test";
import { Glob } from "bun";

/** The one file that writes numbers, from names. */
const MECHANISM = "redis/script.ts";

/** `KEYS[2]`, `ARGV[i + 1]`, `unpack(ARGV, 3)`, `#ARGV - 3`: all but what begins at a name of the mechanism's. */
const COUNTED =
  /\b(?:KEYS|ARGV)\[(?!rest\b|rest_keys\b)|unpack\((?:KEYS|ARGV)(?!, rest\b|, rest_keys\b)|#(?:KEYS|ARGV)\b|ipairs\((?:KEYS|ARGV)\)/;

function findCounted(text: string): string[] {
  return text.split("\n").filter((line) => COUNTED.test(line));
}

test("no script counts its keys or arguments", async () => {
  const counted: string[] = [];
  let scripts = 0;
  for await (const file of new Glob("{redis,edge,workers,bench,local}/**/*.ts").scan(".")) {
    if (file.endsWith(".test.ts") || file === MECHANISM) continue;
    const text = await Bun.file(file).text();
    scripts += text.split("defineScript<").length - 1;
    for (const line of findCounted(text)) counted.push(`${file}: ${line.trim()}`);
  }
  expect(counted).toEqual([]);
  expect(scripts).toBeGreaterThan(30);
});

test("a script that counts them is found, and one that goes on from a name is not", () => {
  for (const line of [
    "redis.call('GET', KEYS[1])",
    "for i = 3, #ARGV, 2 do",
    "local id = ARGV[i + 1]",
    "redis.call('HMGET', key, unpack(ARGV))",
    "redis.call('XADD', key, '*', unpack(ARGV, 13))",
    "for _, name in ipairs(ARGV) do",
  ]) {
    expect(findCounted(line)).toEqual([line]);
  }
  for (const line of [
    "redis.call('XADD', key, '*', unpack(ARGV, rest))",
    "if ARGV[rest] then return 1 end",
    "local ticks = KEYS[rest_keys + 1]",
  ]) {
    expect(findCounted(line)).toEqual([]);
  }
});
