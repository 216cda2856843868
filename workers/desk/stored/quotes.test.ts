import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { Quote } from "../../../domain/desk/quote.ts";
import { DESK } from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { parseStoredQuote, TICKS_KEPT_MS, writeDeskQuotes } from "./quotes.ts";

const NOW_MS = 1_800_000_000_000;

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

const quote = (laterMs: number, priceMicros: number, symbol = "R_100"): Quote => ({
  symbol,
  priceMicros,
  sourceTimeMs: NOW_MS + laterMs,
});

const write = (...quotes: Quote[]) => redis.run(writeDeskQuotes, { desk: DESK, quotes });

const newest = async (symbol = "R_100") =>
  parseStoredQuote(symbol, String(await redis.send("HGET", DESK.quotes, symbol)));

const ticks = (symbol = "R_100") => redis.send("ZRANGE", DESK.ticks(symbol), "0", "-1");

test("the newest quote of each symbol is stored, and each quote is a tick of its own symbol", async () => {
  expect(await write(quote(0, 5), quote(1, 6, "EUR/USD"), quote(2, 7))).toBe(3);
  expect(await newest()).toEqual(quote(2, 7));
  expect(await newest("EUR/USD")).toEqual(quote(1, 6, "EUR/USD"));
  expect(await ticks()).toEqual([`${NOW_MS},5`, `${NOW_MS + 2},7`]);
  expect(await ticks("EUR/USD")).toEqual([`${NOW_MS + 1},6`]);
});

test("an older quote is a tick but never the newest, and the same is true of another quote of the same moment", async () => {
  await write(quote(0, 5));
  expect(await write(quote(-1, 6), quote(0, 7))).toBe(0);
  expect(await newest()).toEqual(quote(0, 5));
  expect(await ticks()).toEqual([`${NOW_MS - 1},6`, `${NOW_MS},5`, `${NOW_MS},7`]);
});

test("the same quotes written again, by another server, change nothing", async () => {
  await write(quote(0, 5), quote(1, 6));
  const before = await redis.everything();
  expect(await write(quote(0, 5), quote(1, 6))).toBe(0);
  expect(await redis.everything()).toEqual(before);
});

test("ticks remain for ten minutes before the newest of their symbol, by the source's time", async () => {
  await write(quote(-TICKS_KEPT_MS - 1, 1), quote(-TICKS_KEPT_MS, 2), quote(0, 3));
  expect(await ticks()).toEqual([`${NOW_MS - TICKS_KEPT_MS},2`, `${NOW_MS},3`]);
});

test.each(["", "5", "5,", ",5", "-5,1", "5.5,1", "5,1,2", "5,1.5"])(
  "%p is no stored quote",
  (text) => {
    expect(parseStoredQuote("R_100", text)).toBeUndefined();
  },
);
