import { afterAll, beforeAll, expect, test } from "bun:test";
import { parseStoredQuote } from "../stored/quotes.ts";
import { DeskKeys, PAID_QUOTES_KEY } from "../stored/keys.ts";
import { readMetrics } from "../../../tests/support/metrics.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import type { Redis } from "../../runtime/redis.ts";

const SYMBOLS = ["EUR/USD", "GBP/USD", "USD/JPY", "BTC/USD", "R_100"];
const PARTITIONS = [0, 1, 2];

let server: TestRedis;
let redis: Redis;
let simulator: RoleProcess;
let simulatorEnv: Record<string, string>;
const roles: RoleProcess[] = [];
const ports: number[] = [];
const metricsPorts: number[] = [];

beforeAll(async () => {
  server = await startRedis({ appendOnly: true });
  redis = connectRedis(server.url);
  const [asked, streaming] = [await freePort(), await freePort()];
  simulatorEnv = {
    FANFARE_SIMULATOR_ASKED_PORT: String(asked),
    FANFARE_SIMULATOR_STREAMING_PORT: String(streaming),
  };
  simulator = await startRole("simulator", simulatorEnv);
  for (let count = 0; count < 2; count += 1) {
    const port = await freePort();
    ports.push(port);
    const metricsPort = await freePort();
    metricsPorts.push(metricsPort);
    roles.push(
      await startRole("quotes", {
        FANFARE_REDIS_URL: server.url,
        FANFARE_PARTITIONS: String(PARTITIONS.length),
        FANFARE_QUOTES_PORT: String(port),
        FANFARE_METRICS_PORT: String(metricsPort),
        FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${asked}`,
        FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${streaming}`,
      }),
    );
  }
});

afterAll(async () => {
  for (const role of roles) expect(await role.stop()).toBe(0);
  expect(await simulator.stop()).toBe(0);
  redis.close();
  await server.stop();
});

const get = (path: string, server = 0): Promise<Response> =>
  fetch(`http://127.0.0.1:${ports[server]}${path}`);

test("once it is ready, every desk partition has the newest quote and the ticks of every streamed symbol", async () => {
  for (const partition of PARTITIONS) {
    const desk = new DeskKeys(partition);
    for (const symbol of SYMBOLS) {
      const quote = parseStoredQuote(
        symbol,
        String(await redis.send("HGET", [desk.quotes, symbol])),
      );
      expect(Date.now() - (quote?.sourceTimeMs ?? 0)).toBeLessThan(1_000);
      expect(await redis.send("ZCARD", [desk.ticks(symbol)])).toBeGreaterThan(0);
    }
  }
});

test("two servers write each tick once, and the same to every partition", async () => {
  const ticks = async (partition: number): Promise<string[]> =>
    (await redis.send("ZRANGE", [new DeskKeys(partition).ticks("R_100"), "0", "-1"])) as string[];
  await until("some more ticks came", async () => (await ticks(0)).length >= 5);
  const times = (await ticks(0)).map((tick) => tick.split(",")[0]);
  expect(new Set(times).size).toBe(times.length);
  const last = (await ticks(0)).at(-1) ?? "";
  for (const partition of PARTITIONS) {
    await until("the tick is there", async () => (await ticks(partition)).includes(last));
  }
});

test("a streamed and an asked quote are shown with time and label, the same by both servers", async () => {
  const streamed = await get("/v1/quotes/EUR%2FUSD");
  expect(streamed.status).toBe(200);
  const quote = (await streamed.json()) as Record<string, unknown>;
  expect(quote).toEqual({
    symbol: "EUR/USD",
    price: expect.stringMatching(/^1\.\d{6}$/),
    priceMicros: Math.round(Number(quote["price"]) * 1e6),
    sourceTime: expect.any(Number),
    simulated: true,
  });
  const asked: unknown = await (await get("/v1/quotes/ABC")).json();
  expect(asked).toMatchObject({ symbol: "ABC", simulated: true });
  expect(await (await get("/v1/quotes/ABC", 1)).json()).toEqual(asked as never);
});

test("the servers' metrics count the paid answers, as Redis does", async () => {
  const counts = await Promise.all(
    metricsPorts.map(async (port) => (await readMetrics(port)).get("fanfare_paid_quotes_total")),
  );
  const paid = Number(await redis.send("GET", [PAID_QUOTES_KEY]));
  expect(paid).toBeGreaterThan(0);
  expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(paid);
});

test.each([
  ["/v1/quotes/AUD%2FUSD", 422, "SYMBOL_UNKNOWN"],
  ["/v1/quotes/abc", 422, "SYMBOL_UNKNOWN"],
  ["/v1/quotes/ABC%2Cme%0AXYZ", 422, "SYMBOL_UNKNOWN"],
  ["/v1/quotes/%FF", 422, "SYMBOL_UNKNOWN"],
  ["/v1/quotes", 404, "ROUTE_UNKNOWN"],
])("%s is a problem %i %s", async (path, status, code) => {
  const response = await get(path);
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(await response.json()).toMatchObject({ status, code });
});

test("a wrong method is answered with a problem too", async () => {
  const response = await fetch(`http://127.0.0.1:${ports[0]}/v1/quotes/ABC`, { method: "POST" });
  expect(response.status).toBe(405);
});

test("without its source a quote is unavailable, not old; when the source is back, so is the quote", async () => {
  expect((await get("/healthz")).status).toBe(200);
  await simulator.kill();
  await until("it is unavailable", async () => (await get("/v1/quotes/R_100")).status === 503);
  expect((await get("/healthz")).status).toBe(503);
  expect(await (await get("/v1/quotes/XYZ")).json()).toMatchObject({ code: "QUOTE_UNAVAILABLE" });
  simulator = await startRole("simulator", simulatorEnv);
  await until("it is back", async () => (await get("/v1/quotes/R_100")).status === 200);
  expect((await get("/v1/quotes/XYZ")).status).toBe(200);
});

test("ticks that came while Redis was away are written when it is back", async () => {
  const key = new DeskKeys(2).ticks("R_100");
  await server.kill();
  const goneAtMs = Date.now();
  const tick = await until("a quote of that time came", async () => {
    const quote = (await (await get("/v1/quotes/R_100")).json()) as {
      sourceTime: number;
      priceMicros: number;
    };
    return quote.sourceTime > goneAtMs && `${quote.sourceTime},${quote.priceMicros}`;
  });
  await server.restart();
  const reader = connectRedis(server.url);
  await until("its tick is there", async () => (await reader.send("ZSCORE", [key, tick])) !== null);
  reader.close();
});
