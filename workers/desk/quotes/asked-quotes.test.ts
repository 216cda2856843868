import { clear } from "../../../tests/support/redis.ts";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { askedQuoteKey, askingKey, PAID_QUOTES_KEY } from "../stored/keys.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { startPeer, type Peer } from "../../../tests/support/tcp.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import type { Redis } from "../../runtime/redis.ts";
import { askedQuotes } from "./asked-quotes.ts";
import { legacySource } from "./legacy.ts";

let peer: Peer | undefined;
let clients: Redis[] = [];

const { server, redis } = await openRedis();
beforeEach(async () => void (await clear(redis)));
afterEach(() => {
  peer?.stop();
  for (const client of clients) client.close();
  clients = [];
});

/** One server of the quotes role, with its own connection. */
function quotesServer(url: string, timeoutMs = 500) {
  const client = connectRedis(server.url);
  clients.push(client);
  return askedQuotes({
    redis: client,
    source: legacySource({ url, user: "me", timeoutMs }),
    timeoutMs,
    now: Date.now,
    token: () => crypto.randomUUID(),
    hedgeAfterMs: 10_000,
  });
}

/** A source that answers after a delay, with a time at this distance from now. */
async function startSource(offsetMs = 0, price = "12.34"): Promise<Peer> {
  peer = await startPeer(async (socket, question) => {
    const symbol = question.split(",")[0] ?? "";
    await Bun.sleep(30);
    socket.end(`${price},${symbol},me,${Date.now() + offsetMs},c2VjcmV0\n`);
  });
  return peer;
}

test("a hundred callers at four servers pay for one quote, and all get it", async () => {
  const { url, heard } = await startSource();
  const servers = [quotesServer(url), quotesServer(url), quotesServer(url), quotesServer(url)];
  const results = await Promise.all(
    servers.flatMap((each) => Array.from({ length: 25 }, () => each.quoteOf("ABC"))),
  );
  expect(results[0]).toMatchObject({ kind: "quoted", quote: { priceMicros: 12_340_000 } });
  for (const result of results) expect(result).toEqual(results[0] as never);
  expect(heard).toHaveLength(1);
  expect(await redis.send("GET", [PAID_QUOTES_KEY])).toBe("1");
});

test("a quote is requested again when sixty seconds have passed since the source's time, and not before", async () => {
  const { url, heard } = await startSource(-59_600);
  const quotes = quotesServer(url);
  const first = await quotes.quoteOf("ABC");
  expect(await quotes.quoteOf("ABC")).toEqual(first);
  expect(heard).toHaveLength(1);
  await until(
    "it is no longer valid",
    async () => (await redis.send("EXISTS", [askedQuoteKey("ABC")])) === 0,
  );
  expect(await quotes.quoteOf("ABC")).toMatchObject({ kind: "quoted" });
  expect(heard).toHaveLength(2);
  expect(await redis.send("GET", [PAID_QUOTES_KEY])).toBe("2");
});

test("an answer older than sixty seconds is stale, and is not stored", async () => {
  const { url } = await startSource(-60_500);
  expect(await quotesServer(url).quoteOf("ABC")).toEqual({ kind: "unavailable", reason: "stale" });
  expect(await redis.send("KEYS", ["quotes:{*"])).toEqual([]);
});

test("an answer from the future is valid for sixty seconds from now, and no longer", async () => {
  const { url } = await startSource(3_600_000);
  const result = await quotesServer(url).quoteOf("ABC");
  if (result.kind !== "quoted") throw new Error(result.reason);
  expect(result.quote.sourceTimeMs).toBeLessThanOrEqual(Date.now());
  expect(await redis.send("PTTL", [askedQuoteKey("ABC")])).toBeLessThanOrEqual(60_000);
});

test.each([
  ["garbage", "0.00", 1],
  ["silent", undefined, 1],
  ["refused", undefined, 0],
] as const)(
  "a source that is %s gives a reason and no price, and can be asked again at once",
  async (reason, price, paid) => {
    let url = `tcp://127.0.0.1:${await freePort()}`;
    if (reason === "garbage") ({ url } = await startSource(0, price));
    if (reason === "silent") ({ url } = peer = await startPeer(() => {}));
    const quotes = quotesServer(url, 100);
    expect(await quotes.quoteOf("ABC")).toEqual({ kind: "unavailable", reason });
    expect(await redis.send("KEYS", ["quotes:{*"])).toEqual([]);
    expect(Number(await redis.send("GET", [PAID_QUOTES_KEY]))).toBe(paid);
    peer?.stop();
    const working = await startSource();
    expect(await quotesServer(working.url).quoteOf("ABC")).toMatchObject({ kind: "quoted" });
  },
);

test("other servers wait for a server that died while asking no longer than its lease lasts", async () => {
  const { url } = await startSource();
  await redis.send("SET", [askingKey("ABC"), "the dead one", "PX", "200"]);
  expect(await quotesServer(url).quoteOf("ABC")).toMatchObject({ kind: "quoted" });
});

test("a caller that waits in vain for another server's answer gets a reason", async () => {
  const { url, heard } = await startSource();
  await redis.send("SET", [askingKey("ABC"), "one that never answers", "PX", "60000"]);
  const result = await quotesServer(url, 50).quoteOf("ABC");
  expect(result).toEqual({ kind: "unavailable", reason: "waited" });
  expect(heard).toEqual([]);
});

test("a late answer never overwrites a newer one", async () => {
  const { url } = await startSource(-20_000);
  const quotes = quotesServer(url);
  const late = quotes.quoteOf("ABC");
  await until("it is asked", async () => (await redis.send("EXISTS", [askingKey("ABC")])) === 1);
  const newer = `55000000,${Date.now() - 1_000}`;
  await redis.send("SET", [askedQuoteKey("ABC"), newer, "PX", "59000"]);
  expect(await late).toMatchObject({ kind: "quoted", quote: { priceMicros: 55_000_000 } });
  expect(await redis.send("GET", [askedQuoteKey("ABC")])).toBe(newer);
});
