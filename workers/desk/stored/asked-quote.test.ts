import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { ASKED_QUOTE_VALID_MS } from "../../../domain/desk/quote.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { releaseAsking, storeQuote, takeQuote } from "./asked-quote.ts";
import { askedQuoteKey, askingKey } from "./keys.ts";

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

const take = (token: string, leaseMs = 60_000) =>
  redis.run(takeQuote, { symbol: "ABC", token, leaseMs });

/** An answer whose source says that it is this old. */
async function store(token: string, ageMs: number, priceMicros = 5_000_000) {
  const sourceTimeMs = (await redis.nowMs()) - ageMs;
  const quote = { symbol: "ABC", priceMicros, sourceTimeMs };
  return { quote, stored: await redis.run(storeQuote, { quote, token }) };
}

describe("a quote that is not cached", () => {
  test("is requested by one server, and the others wait for it", async () => {
    expect(await take("one")).toEqual({ kind: "ask" });
    expect(await take("two")).toEqual({ kind: "wait" });
    expect(await redis.run(takeQuote, { symbol: "XY", token: "two", leaseMs: 60_000 })).toEqual({
      kind: "ask",
    });
  });

  test("is requested by another server once the lease is returned, which only its holder can do", async () => {
    await take("one");
    expect(await redis.run(releaseAsking, { symbol: "ABC", token: "two" })).toBe(false);
    expect(await take("two")).toEqual({ kind: "wait" });
    expect(await redis.run(releaseAsking, { symbol: "ABC", token: "one" })).toBe(true);
    expect(await take("two")).toEqual({ kind: "ask" });
  });

  test("is leased no longer than the lease time, if its holder dies", async () => {
    await take("one", 60_000);
    const leftMs = Number(await redis.send("PTTL", askingKey("ABC")));
    expect(leftMs).toBeGreaterThan(50_000);
    expect(leftMs).toBeLessThanOrEqual(60_000);
  });
});

describe("an answer", () => {
  test("ends the lease and is given to all, as long as it is valid by its source's time", async () => {
    await take("one");
    const { quote, stored } = await store("one", 20_000);
    expect(stored).toEqual(quote);
    expect(await take("two")).toEqual({ kind: "cached", quote });
    expect(await redis.send("EXISTS", askingKey("ABC"))).toBe(0);
    const leftMs = Number(await redis.send("PTTL", askedQuoteKey("ABC")));
    expect(leftMs).toBeGreaterThan(ASKED_QUOTE_VALID_MS - 25_000);
    expect(leftMs).toBeLessThanOrEqual(ASKED_QUOTE_VALID_MS - 20_000);
  });

  test("that is too old is not stored, and still ends the lease", async () => {
    await take("one");
    expect((await store("one", ASKED_QUOTE_VALID_MS)).stored).toBeUndefined();
    expect(await take("two")).toEqual({ kind: "ask" });
  });

  test("never replaces a newer one: its server gets the newer one", async () => {
    const { quote: newer } = await store("one", 1_000, 7_000_000);
    expect((await store("two", 20_000)).stored).toEqual(newer);
    expect(await take("three")).toEqual({ kind: "cached", quote: newer });
  });

  test("that comes too late does not end another server's lease", async () => {
    await take("two");
    await store("one", 0);
    expect(await redis.send("GET", askingKey("ABC"))).toBe("two");
  });

  test("from the future counts as from now", async () => {
    const { stored } = await store("one", -3_600_000);
    expect(stored?.sourceTimeMs).toBeLessThanOrEqual(await redis.nowMs());
    const leftMs = Number(await redis.send("PTTL", askedQuoteKey("ABC")));
    expect(leftMs).toBeLessThanOrEqual(ASKED_QUOTE_VALID_MS);
  });
});
