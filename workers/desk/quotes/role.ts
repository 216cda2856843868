/**
 * The quotes role: follows the stream into every desk partition, serves quotes
 * over HTTP, streamed or asked, and fires the triggers that they meet. Several
 * may run at once: each writes the same ticks, only one of them asks for a
 * symbol at a time, and a trigger fires once.
 */
import { PartitionMap } from "../../../redis/keys.ts";
import type { Quote } from "../../../domain/desk/quote.ts";
import { armCrashPoint } from "../../runtime/crash-point.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { deskWriter } from "./desk-writer.ts";
import { ASK_TIMEOUT_MS, houseQuotes } from "./house.ts";
import { serveQuotes } from "./http.ts";
import { auditPaid } from "./paid.ts";
import { streamingSource } from "./streaming.ts";
import { triggerWatch } from "./trigger-watch.ts";

const STREAM_SILENCE_MS = 3_000;
const STOP_TIMEOUT_MS = 1_000;

export const role: Role = async (env, stop, ready) => {
  armCrashPoint(env.FANFARE_CRASH_AT);
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const streamed = env.FANFARE_QUOTES_SYMBOLS;
  const newest = new Map<string, Quote>();
  const missing = new Set(streamed);

  const writer = deskWriter(redis, partitions, (written) => {
    if (missing.size === 0) return;
    for (const { symbol } of written) missing.delete(symbol);
    if (missing.size === 0) ready();
  });
  const asked = houseQuotes(redis, env, (answer) => {
    auditPaid(redis, env, answer);
  });
  const watch = triggerWatch({
    ...{ redis, partitions, streamed, asked },
    server: env.FANFARE_CONSUMER,
    now: Date.now,
  });
  const watching = watch.follow(stop);
  const server = serveQuotes(
    {
      streamed,
      newest,
      asked,
      timeoutMs: ASK_TIMEOUT_MS + 2_000,
      simulated: env.FANFARE_QUOTES_KIND === "simulated",
      now: Date.now,
    },
    { hostname: env.FANFARE_HOST, port: env.FANFARE_QUOTES_PORT },
  );

  const stream = streamingSource({
    url: env.FANFARE_QUOTES_STREAMING,
    symbols: streamed,
    silenceMs: STREAM_SILENCE_MS,
    now: Date.now,
    random: Math.random,
  });
  await stream.follow((quotes) => {
    for (const quote of quotes) {
      if (quote.sourceTimeMs >= (newest.get(quote.symbol)?.sourceTimeMs ?? 0)) {
        newest.set(quote.symbol, quote);
      }
    }
    writer.add(quotes);
    watch.add(quotes);
  }, stop);

  const ended = Promise.all([server.stop(), writer.drained(), watching]);
  await Promise.race([ended, Bun.sleep(STOP_TIMEOUT_MS)]);
  redis.close();
};
