/**
 * Lines in, a reply line for each out, by the body of a request or by WebSocket.
 * Lines are handed over a chunk at a time, no more than are allowed to be open;
 * replies leave several at once. Nothing grows with what is sent: a body is not
 * read on, and a socket is closed, where replies are not taken. A stop takes no
 * more lines, answers those that were taken, and ends.
 */
import { isBlank, MAX_LINE_BYTES } from "../domain/desk/command.ts";

/** What is done with the lines of one connection. */
export interface LineWork {
  /** Lines that are handed over together at most. */
  readonly chunkLines: number;
  /** Lines that are taken and whose replies have not left. At least a chunk. */
  readonly maxOpen: number;
  /** Whether replies leave in the order of their lines, or as they are ready. */
  readonly order: "sent" | "ready";
  /** Each line is answered once, by its index among these. The next chunk comes when a promise is fulfilled, or at once. */
  take(
    lines: readonly string[],
    answer: (index: number, reply: string) => void,
    isGone: () => boolean,
  ): Promise<void> | undefined;
  /** Whether a line is handed over only when all lines before it are answered. */
  waitsForAll?(line: string): boolean;
  /** Why no more lines are taken, such as a token that has expired. */
  whyOver?(): string | undefined;
  /** A chunk failed: that is a bug, and the connection ends. */
  failed(error: unknown): void;
}

/** What of a line is used: enough to be refused for its length. */
const USED_CHARACTERS = MAX_LINE_BYTES + 64;
const WRITE_CHARACTERS = 64 * 1024;
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

export interface Lines {
  /** The lines that this piece completes. Bytes are taken as they are, one a character: what is not ASCII is refused anyway. */
  take(piece: Uint8Array | string): string[];
  /** What came after the last newline. */
  rest(): string;
}

const decoder = new TextDecoder("latin1");

/** Cuts what comes in pieces into lines. A line beyond the limit is cut to just above it, so that nothing grows with what is sent. */
export function lineCutter(usedCharacters = USED_CHARACTERS): Lines {
  let rest = "";
  return {
    take(piece) {
      const text = typeof piece === "string" ? piece : decoder.decode(piece);
      const lines = text.split("\n");
      lines[0] = rest + (lines[0] ?? "");
      cutLong(lines, usedCharacters);
      rest = lines.pop() ?? "";
      return lines;
    },
    rest: () => rest,
  };
}

function cutLong(lines: string[], usedCharacters: number): void {
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    if (line.length > usedCharacters) lines[index] = line.slice(0, usedCharacters);
  }
}

interface ExchangeEvents {
  /** Replies can leave. */
  readonly onReply: () => void;
  /** No more lines are taken, for the reason that `whyOver` gave, if it did. */
  readonly onOver: (why: string | undefined) => void;
  /** A chunk will never be answered. */
  readonly onFailed: () => void;
}

/** The lines of one connection that wait, those that are open, and their replies. */
class Exchange {
  isGone = false;
  readonly #work: LineWork;
  readonly #events: ExchangeEvents;
  #waiting: string[] = [];
  #next = 0;
  #taken = 0;
  #answered = 0;
  #sent = 0;
  /** From `head` on: in the order of their lines those after the last that has left, or those that are ready. */
  #replies: (string | undefined)[] = [];
  #head = 0;
  #isBusy = false;
  #isOver = false;
  #onIdle = (): void => {};
  readonly #saysGone = (): boolean => this.isGone;

  constructor(work: LineWork, events: ExchangeEvents) {
    this.#work = work;
    this.#events = events;
  }

  /** Lines that wait or are taken, and whose replies have not left. */
  get open(): number {
    return this.#waiting.length - this.#next + this.#taken - this.#sent;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether all lines were handed over, and more are wanted. */
  get isIdle(): boolean {
    return this.#isOver || (!this.#isBusy && this.#next === this.#waiting.length);
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.isIdle) resolve();
    });
  }

  /** Adds lines, but for those that say nothing; they leave with `handOver`. */
  add(lines: readonly string[]): void {
    if (this.#isOver) return;
    for (const line of lines) if (!isBlank(line)) this.#waiting.push(line);
  }

  handOver(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let count = this.#ready(); count > 0; count = this.#ready()) {
      const done = this.#take(count);
      if (!done) continue;
      void done
        .catch((error: unknown) => this.#fail(error))
        .finally(() => {
          this.#isBusy = false;
          this.handOver();
        });
      return;
    }
    this.#isBusy = false;
    if (this.isIdle) this.#onIdle();
  }

  /** Replies that can leave, with newlines between, about as many characters as that; empty where none can. */
  next(characters: number): string {
    let text = "";
    while (text.length < characters) {
      const reply = this.#replies[this.#head];
      if (reply === undefined) break;
      this.#replies[this.#head] = undefined;
      this.#head += 1;
      this.#sent += 1;
      text = text === "" ? reply : `${text}\n${reply}`;
    }
    if (this.#head === this.#replies.length) {
      this.#replies = [];
      this.#head = 0;
    } else if (this.#head > this.#work.maxOpen) {
      this.#replies = this.#replies.slice(this.#head);
      this.#head = 0;
    }
    if (text !== "" && this.#next < this.#waiting.length) this.handOver();
    return text;
  }

  /** Takes no more lines. */
  end(why?: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    this.#next = 0;
    this.#onIdle();
    this.#events.onOver(why);
  }

  /** How many of the lines that wait can be handed over now. */
  #ready(): number {
    const waiting = this.#waiting.length - this.#next;
    if (waiting === 0) return 0;
    const why = this.#work.whyOver?.();
    if (why !== undefined) {
      this.end(why);
      return 0;
    }
    const count = Math.min(waiting, this.#work.chunkLines);
    // Not fewer than a chunk, so that chunks do not become small where replies leave slowly.
    if (this.#taken - this.#sent + count > this.#work.maxOpen) return 0;
    if (!this.#work.waitsForAll) return count;
    for (let index = 0; index < count; index += 1) {
      if (!this.#work.waitsForAll(this.#waiting[this.#next + index] ?? "")) continue;
      if (index > 0) return index;
      if (this.#answered < this.#taken) return 0;
    }
    return count;
  }

  #take(count: number): Promise<void> | undefined {
    const isAll = this.#next === 0 && count === this.#waiting.length;
    const lines = isAll ? this.#waiting : this.#waiting.slice(this.#next, this.#next + count);
    this.#next += count;
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    const first = this.#taken;
    this.#taken += count;
    try {
      return this.#work.take(
        lines,
        (index, reply) => this.#answer(first + index, reply),
        this.#saysGone,
      );
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #answer(place: number, reply: string): void {
    this.#answered += 1;
    if (this.#work.order === "ready") {
      if (this.#replies.push(reply) === this.#head + 1) this.#events.onReply();
    } else {
      this.#replies[this.#head + place - this.#sent] = reply;
      if (place === this.#sent) this.#events.onReply();
    }
    if (this.#answered === this.#taken && this.#next < this.#waiting.length) this.handOver();
  }

  #fail(error: unknown): void {
    this.#work.failed(error);
    this.isGone = true;
    this.end();
    this.#events.onFailed();
  }
}

export interface StreamOptions {
  readonly stop: AbortSignal;
  /** How long a reader may take nothing while there is something to take. */
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
    for await (const piece of piecesOf(body, ended.signal)) {
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
        // The sender broke off: what it sent is done, and no reply can reach it.
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
        // An answer that ends whole says that what is unanswered was not taken.
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

/** What is sent, until it ends or no more is wanted. */
async function* piecesOf(
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
    // The sender may have broken off.
    reader.cancel().catch(() => {});
  }
}

/** A socket that is open. */
export interface LineSocket {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** What was sent and the other side has not read; 0 where the runtime does not tell. */
  unreadBytes?(): number;
}

export interface SocketOptions {
  readonly maxUnreadBytes?: number;
  /** When replies leave that become ready together. */
  readonly soon?: (task: () => void) => void;
}

/** What the owner of a socket reports of it. */
export interface SocketLines {
  /** A message holds one or several lines, the last with or without its newline. */
  take(message: Uint8Array | string): void;
  stop(): void;
  /** Closes it at once. */
  hangUp(code: number, reason: string): void;
  /** It was closed. */
  leave(): void;
}

/** The replies to the lines of a socket, one or several a message. */
export function answerSocket(
  socket: LineSocket,
  work: LineWork,
  { maxUnreadBytes = Number.POSITIVE_INFINITY, soon = queueMicrotask }: SocketOptions = {},
): SocketLines {
  let isStopping = false;
  const exchange = new Exchange(work, {
    onReply: () => soon(flush),
    onOver(why) {
      if (why !== undefined) hangUp(POLICY_VIOLATION, why);
    },
    onFailed: () => hangUp(GOING_AWAY, "INTERNAL"),
  });

  function hangUp(code: number, reason: string): void {
    leave();
    socket.close(code, reason);
  }

  function leave(): void {
    exchange.isGone = true;
    exchange.end();
  }

  function flush(): void {
    if (exchange.isGone) return;
    const text = exchange.next(Number.POSITIVE_INFINITY);
    if (text !== "") socket.send(text);
    if (isStopping) endIfAnswered();
    else if ((socket.unreadBytes?.() ?? 0) > maxUnreadBytes) {
      hangUp(POLICY_VIOLATION, "the replies are not read");
    }
  }

  function endIfAnswered(): void {
    if (exchange.open === 0) hangUp(GOING_AWAY, "the server is going away");
  }

  return {
    take(message) {
      if (exchange.isOver) return;
      const text = typeof message === "string" ? message : decoder.decode(message);
      const lines = text.split("\n");
      cutLong(lines, USED_CHARACTERS);
      exchange.add(lines);
      if (exchange.open > work.maxOpen) hangUp(POLICY_VIOLATION, "too many lines");
      else exchange.handOver();
    },
    stop() {
      if (exchange.isGone) return;
      isStopping = true;
      exchange.end();
      endIfAnswered();
    },
    hangUp,
    leave,
  };
}
