/**
 * `POST /v1/desk/commands`: lines in, a reply line for each out, in their
 * order, while lines still come. No more is read than there is room for, and
 * nothing is kept for a reader that is slower than the desk: it is waited for,
 * and given up when it has not read for half a minute. A desk that stops takes no
 * more, answers what it took, and ends.
 */
import { isBlank, parseDeskLine, spokenBy } from "../../../domain/desk/command.ts";
import { lineCutter } from "../../../domain/desk/lines.ts";
import type { DeskCommands } from "./commands.ts";

/** Lines of one request that are taken but whose replies have not been read. */
const MAX_OPEN = 4_096;
const READER_PATIENCE_MS = 30_000;
/** What is written at once. */
const WRITE_BYTES = 64 * 1024;

export interface LineSender {
  readonly session: string;
  /** The one user that is spoken for; empty: any. */
  readonly user: string;
}

export function answerLines(
  commands: DeskCommands,
  body: ReadableStream<Uint8Array> | null,
  sender: LineSender,
  stop: AbortSignal,
): Response {
  return new Response(replies(commands, body, sender, stop), {
    headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
  });
}

function replies(
  commands: DeskCommands,
  body: ReadableStream<Uint8Array> | null,
  { session, user }: LineSender,
  stop: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  /** Replies by the place of their line; the first `sent` have left. */
  let answered: (string | undefined)[] = [];
  let head = 0;
  let taken = 0;
  let sent = 0;
  let ended = false;
  let gone = false;
  let patience: ReturnType<typeof setTimeout> | undefined;
  let wake = (): void => {};

  const moved = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });

  function submit(line: string): void {
    if (isBlank(line)) return;
    const place = taken;
    taken += 1;
    const parsed = parseDeskLine(line);
    commands.submit(user === "" ? parsed : spokenBy(user, parsed), session, (reply) => {
      answered[head + place - sent] = reply;
      if (place === sent) wake();
    });
  }

  async function read(): Promise<void> {
    const cutter = lineCutter();
    for await (const piece of piecesOf(body, stop)) {
      for (const line of cutter.take(piece)) {
        await settled(line);
        if (gone || stop.aborted) return;
        submit(line);
        while (taken - sent >= MAX_OPEN && !gone) await room();
      }
    }
    if (gone || stop.aborted) return;
    await settled(cutter.rest());
    submit(cutter.rest());
  }

  /** The log of all users holds all that was answered to this sender, so what came before it is waited for. */
  async function settled(line: string): Promise<void> {
    if (!line.includes("DUMPLOG")) return;
    while (taken > sent && !gone) await room();
  }

  const waitingForRoom: (() => void)[] = [];
  const room = (): Promise<void> =>
    new Promise((resolve) => {
      waitingForRoom.push(resolve);
    });

  /** All replies that are next in order, up to a write. */
  function next(): string {
    let text = "";
    while (text.length < WRITE_BYTES) {
      const reply = answered[head];
      if (reply === undefined) break;
      answered[head] = undefined;
      text += `${reply}\n`;
      head += 1;
      sent += 1;
    }
    if (head > MAX_OPEN) {
      answered = answered.slice(head);
      head = 0;
    }
    for (const resume of waitingForRoom.splice(0)) resume();
    return text;
  }

  function leave(): void {
    gone = true;
    clearTimeout(patience);
    wake();
    for (const resume of waitingForRoom.splice(0)) resume();
  }

  return new ReadableStream<Uint8Array>({
    start() {
      void read()
        // The sender broke off: what it sent is done, and there is nobody to tell.
        .catch(() => {})
        .finally(() => {
          ended = true;
          wake();
        });
    },
    async pull(controller) {
      clearTimeout(patience);
      for (;;) {
        const text = next();
        if (text !== "") {
          controller.enqueue(encoder.encode(text));
          patience = setTimeout(() => {
            leave();
            controller.error(new Error("the reader does not read"));
          }, READER_PATIENCE_MS);
          return;
        }
        if (gone) return;
        if (ended && sent === taken) {
          controller.close();
          return;
        }
        await moved();
      }
    },
    cancel: leave,
  });
}

/** What is sent, until it ends or the desk stops. */
async function* piecesOf(
  body: ReadableStream<Uint8Array> | null,
  stop: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader();
  const { promise: stopped, resolve } = Promise.withResolvers<{ done: true; value?: undefined }>();
  const onStop = (): void => resolve({ done: true });
  stop.addEventListener("abort", onStop, { once: true });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), stopped]);
      if (done || stop.aborted) return;
      yield value;
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    // The sender may have broken off.
    reader.cancel().catch(() => {});
  }
}
