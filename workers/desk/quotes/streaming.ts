/**
 * The streaming source: TCP lines. Send `SUBSCRIBE EUR/USD,GBP/USD\n`, read
 * `SYM,price,timestampMs\n` until the connection ends. A connection that ends, is silent
 * or sends endless lines is closed and opened again, after a growing pause. A line that is
 * not a quote of a wanted symbol is dropped. A source time in the future counts as now;
 * otherwise no later quote would replace it.
 */
import { getLogger } from "@logtape/logtape";
import { parseTick, type Quote } from "../../../domain/desk/quote.ts";
import { addressOf, discard, type StreamingSource } from "./port.ts";

const MAX_LINE_BYTES = 256;
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

export interface StreamingOptions {
  readonly url: string;
  readonly symbols: readonly string[];
  /** A connection without a quote for this long counts as dead. */
  readonly silenceMs: number;
  readonly now: () => number;
  /** 0 to 1: spreads the reconnections of many servers. */
  readonly random: () => number;
}

/** Why a connection ended. */
type End = "refused" | "closed" | "silent" | "endless line" | "stopped";

const log = getLogger(["fanfare", "quotes", "streaming"]);

export function streamingSource(options: StreamingOptions): StreamingSource {
  return {
    async follow(onQuotes, stop) {
      let pauseMs = MIN_PAUSE_MS;
      while (!stop.aborted) {
        let garbage = 0;
        const end = await readStream(options, stop, (quotes, dropped) => {
          garbage += dropped;
          if (quotes.length === 0) return;
          pauseMs = MIN_PAUSE_MS;
          onQuotes(quotes);
        });
        if (end === "stopped") return;
        log.warn("stream ended: {end}", { end, garbage });
        await pause(pauseMs * (0.5 + options.random() / 2), stop);
        pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
      }
    },
  };
}

/** One connection, from its opening to its end. */
async function readStream(
  { url, symbols, silenceMs, now }: StreamingOptions,
  stop: AbortSignal,
  onLines: (quotes: readonly Quote[], dropped: number) => void,
): Promise<End> {
  const { promise, resolve } = Promise.withResolvers<End>();
  const decoder = new TextDecoder();
  const wanted = new Set(symbols);
  const onStop = () => resolve("stopped");
  let rest = "";
  let silence = setTimeout(() => resolve("silent"), silenceMs);

  function read(bytes: Uint8Array): void {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    const quotes: Quote[] = [];
    for (const line of lines) {
      const quote = line.length <= MAX_LINE_BYTES ? parseTick(line) : undefined;
      if (!quote || !wanted.has(quote.symbol)) continue;
      quotes.push({ ...quote, sourceTimeMs: Math.min(quote.sourceTimeMs, now()) });
    }
    if (quotes.length > 0) {
      clearTimeout(silence);
      silence = setTimeout(() => resolve("silent"), silenceMs);
    }
    onLines(quotes, lines.length - quotes.length);
    if (rest.length > MAX_LINE_BYTES) resolve("endless line");
  }

  stop.addEventListener("abort", onStop, { once: true });
  let over = false;
  const connecting = Bun.connect({
    ...addressOf(url),
    socket: {
      open(socket) {
        socket.write(`SUBSCRIBE ${symbols.join(",")}\n`);
      },
      data(_socket, bytes) {
        if (!over) read(bytes);
      },
      close: () => resolve("closed"),
      error: () => resolve("closed"),
      connectError: () => resolve("refused"),
    },
  });
  // The same as `connectError`, which may come first.
  connecting.catch(() => resolve("refused"));
  const end = stop.aborted ? "stopped" : await promise;
  over = true;
  clearTimeout(silence);
  stop.removeEventListener("abort", onStop);
  discard(connecting);
  return end;
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onStop = () => resolve();
  stop.addEventListener("abort", onStop, { once: true });
  if (!stop.aborted) await promise;
  clearTimeout(timer);
  stop.removeEventListener("abort", onStop);
}
