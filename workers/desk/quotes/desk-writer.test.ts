import { clear } from "../../../tests/support/redis.ts";
import { beforeEach, expect, test } from "bun:test";
import type { Quote } from "../../../domain/desk/quote.ts";
import { TICKS_KEPT_MS } from "../stored/quotes.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { DeskKeys } from "../stored/keys.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { deskWriter } from "./desk-writer.ts";

const NOW = 1_800_000_000_000;
const desk = new DeskKeys(1);

const { server, redis } = await openRedis();
beforeEach(async () => void (await clear(redis)));

const quote = (sourceTimeMs: number, priceMicros: number, symbol = "R_100"): Quote => ({
  symbol,
  sourceTimeMs,
  priceMicros,
});

async function write(...batches: Quote[][]): Promise<void> {
  const writer = deskWriter(redis, new PartitionMap(2), () => {});
  for (const batch of batches) writer.add(batch);
  await writer.drained();
}

const ticks = async (symbol = "R_100"): Promise<string[]> =>
  (await redis.send("ZRANGE", [desk.ticks(symbol), "0", "-1"])) as string[];

test("an older quote becomes a tick but never the newest quote", async () => {
  await write([quote(NOW, 2_000_000)], [quote(NOW - 1, 1_000_000)], [quote(NOW, 3_000_000)]);
  expect(await redis.send("HGET", [desk.quotes, "R_100"])).toBe(`2000000,${NOW}`);
  expect(await ticks()).toEqual([`${NOW - 1},1000000`, `${NOW},2000000`, `${NOW},3000000`]);
});

test("the same quotes written again, by any server, change nothing", async () => {
  const batch = [quote(NOW, 1), quote(NOW, 2, "EUR/USD"), quote(NOW + 200, 3)];
  await Promise.all([write(batch), write(batch)]);
  expect(await ticks()).toEqual([`${NOW},1`, `${NOW + 200},3`]);
  expect(await ticks("EUR/USD")).toEqual([`${NOW},2`]);
});

test("ticks remain for ten minutes before the newest of their symbol", async () => {
  await write([quote(NOW - TICKS_KEPT_MS - 1, 1), quote(NOW - TICKS_KEPT_MS, 2), quote(NOW, 3)]);
  expect(await ticks()).toEqual([`${NOW - TICKS_KEPT_MS},2`, `${NOW},3`]);
});

test("very many quotes are all written, in several steps", async () => {
  await write(Array.from({ length: 1_000 }, (_, index) => quote(NOW + index, index + 1)));
  expect(await ticks()).toHaveLength(1_000);
  expect(await redis.send("HGET", [desk.quotes, "R_100"])).toBe(`1000,${NOW + 999}`);
});

test("quotes that were not yet written when Redis died are written when it is back", async () => {
  const observer = connectRedis(server.url);
  await observer.send("CLIENT", ["PAUSE", "60000", "WRITE"]);
  const writer = deskWriter(redis, new PartitionMap(2), () => {});
  writer.add([quote(NOW, 1)]);
  await until("they are on their way", async () =>
    / cmd=evalsha? /.test(String(await observer.send("CLIENT", ["LIST"]))),
  );
  observer.close();
  await server.kill();
  writer.add([quote(NOW + 200, 2)]);
  await server.restart();
  await writer.drained();
  expect(await ticks()).toEqual([`${NOW},1`, `${NOW + 200},2`]);
});
