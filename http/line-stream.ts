/** Lines by the body of a request. Reading of the body stops while the replies are not read. */
import { lineCutter } from "./line-cutter.ts";
import { Exchange, type LineWork } from "./lines.ts";

const WRITE_CHARACTERS = 64 * 1024;

export interface StreamOptions {
  readonly stop: AbortSignal;
  /** How long a reader may read nothing while there is something to read. */
  readonly patienceMs: number;
}

/** The replies to the lines of a body, while more lines may still come. */
export function answerStream(
  body: ReadableStream<Uint8Array> | null,
  work: LineWork,
  { stop, patienceMs }: StreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const ended = new AbortController();
  let isRead = false;
  let patience: ReturnType<typeof setTimeout> | undefined;
  let wake = (): void => {};
  const moved = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  const exchange = new Exchange(work, {
    onReply: () => wake(),
    onOver: () => ended.abort(),
    onFailed: () => wake(),
  });
  const onStop = (): void => exchange.end();

  async function read(): Promise<void> {
    if (stop.aborted) onStop();
    else stop.addEventListener("abort", onStop, { once: true });
    const cutter = lineCutter();
    for await (const piece of readPieces(body, ended.signal)) {
      exchange.add(cutter.take(piece));
      exchange.handOver();
      if (!exchange.isIdle) await exchange.idle();
    }
    exchange.add([cutter.rest()]);
    exchange.handOver();
    await exchange.idle();
  }

  function leave(): void {
    clearTimeout(patience);
    exchange.isGone = true;
    exchange.end();
    wake();
  }

  return new ReadableStream<Uint8Array>({
    start() {
      void read()
        // The sender disconnected: its lines are executed, and no reply can reach it.
        .catch(() => {})
        .finally(() => {
          stop.removeEventListener("abort", onStop);
          isRead = true;
          wake();
        });
    },
    async pull(controller) {
      clearTimeout(patience);
      for (;;) {
        const text = exchange.next(WRITE_CHARACTERS);
        if (text !== "") {
          controller.enqueue(encoder.encode(`${text}\n`));
          patience = setTimeout(() => {
            leave();
            controller.error(new Error("the reader does not read"));
          }, patienceMs);
          return;
        }
        // A complete answer means that the unanswered lines were not taken.
        if (exchange.isGone) controller.error(new Error("lines were left unanswered"));
        else if (isRead && exchange.open === 0) controller.close();
        else {
          await moved();
          continue;
        }
        return;
      }
    },
    cancel: leave,
  });
}

/** The pieces of the body, until it ends or no more are wanted. */
async function* readPieces(
  body: ReadableStream<Uint8Array> | null,
  ended: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader();
  const { promise: unwanted, resolve } = Promise.withResolvers<{ done: true; value?: undefined }>();
  ended.addEventListener("abort", () => resolve({ done: true }), { once: true });
  try {
    while (!ended.aborted) {
      const { done, value } = await Promise.race([reader.read(), unwanted]);
      if (done || ended.aborted) return;
      yield value;
    }
  } finally {
    // The sender may have disconnected.
    reader.cancel().catch(() => {});
  }
}
