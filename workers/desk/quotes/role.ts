/**
 * The quotes role: it follows the stream into every desk partition, serves streamed and
 * asked quotes over HTTP, and fires the triggers that they meet. Several may run at once:
 * each writes the same ticks, only one at a time asks for a symbol, and a trigger fires
 * once.
 */
import type { Quote } from "../../../domain/desk/quote.ts";
import type { Role } from "../../runtime/role.ts";
import { deskWriter } from "./desk-writer.ts";
import { QuotesEnv } from "./env.ts";
import { ASK_TIMEOUT_MS, houseQuotes } from "./house.ts";
import { serveQuotes } from "./http.ts";
import { auditPaid, paidQuotes } from "./paid.ts";
import { streamingSource } from "./streaming.ts";
import { triggerWatch } from "./trigger-watch.ts";

const STREAM_SILENCE_MS = 3_000;
const STOP_TIMEOUT_MS = 1_000;

export const role: Role<typeof QuotesEnv> = {
  settings: QuotesEnv,
  async run({ settings, connections, clock, metrics, random, stop, ready }) {
    const { redis, partitions } = connections;
    const streamed = settings.FANFARE_QUOTES_SYMBOLS;
    const newest = new Map<string, Quote>();
    const missing = new Set(streamed);

    const writer = deskWriter(redis, partitions, (written) => {
      if (missing.size === 0) return;
      for (const { symbol } of written) missing.delete(symbol);
      if (missing.size === 0) ready();
    });
    const paid = paidQuotes(metrics);
    const asked = houseQuotes(redis, settings, {
      onBilled: () => {
        paid.inc();
      },
      onPaid: (answer) => {
        auditPaid(redis, { partitions, server: settings.FANFARE_CONSUMER }, answer);
      },
    });
    const watch = triggerWatch({
      redis,
      partitions,
      streamed,
      asked,
      server: settings.FANFARE_CONSUMER,
      now: clock.nowMs,
    });
    const watching = watch.follow(stop);
    const server = serveQuotes(
      {
        streamed,
        newest,
        asked,
        timeoutMs: ASK_TIMEOUT_MS + 2_000,
        simulated: settings.FANFARE_QUOTES_KIND === "simulated",
        now: clock.nowMs,
      },
      { hostname: settings.FANFARE_HOST, port: settings.FANFARE_QUOTES_PORT },
    );

    const stream = streamingSource({
      url: settings.FANFARE_QUOTES_STREAMING,
      symbols: streamed,
      silenceMs: STREAM_SILENCE_MS,
      now: clock.nowMs,
      random,
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
    await Promise.race([ended, clock.sleep(STOP_TIMEOUT_MS)]);
  },
};
