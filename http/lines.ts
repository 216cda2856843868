/**
 * The lines of one connection: those that wait, those that are open, and their replies. Lines are
 * passed on one chunk at a time, and no more than may be open. Several replies are sent at once.
 * Memory does not grow with the input. On a stop, no more lines are taken, and those that were
 * taken are answered. `line-stream.ts` handles a request's body and its answer, `line-socket.ts` a
 * WebSocket.
 */
import { isBlank } from "../domain/desk/command.ts";

/** How the lines of one connection are executed. */
export interface LineWork {
  /** The most lines that are passed on together. */
  readonly chunkLines: number;
  /** The most lines that may be taken without their replies having been sent. At least a chunk. */
  readonly maxOpen: number;
  /** Whether replies are sent in the order of their lines, or as they are ready. */
  readonly order: "sent" | "ready";
  /**
   * Each line is answered once, by its index in this chunk. The next chunk comes when the returned
   * promise is fulfilled, or at once if there is none.
   */
  take(
    lines: readonly string[],
    answer: (index: number, reply: string) => void,
    isGone: () => boolean,
  ): Promise<void> | undefined;
  /** Whether a line is passed on only when all lines before it are answered. */
  waitsForAll?(line: string): boolean;
  /** Why no more lines are taken, for example because a token has expired. */
  whyOver?(): string | undefined;
  /** A chunk failed: that is a bug, and the connection ends. */
  failed(error: unknown): void;
}

interface ExchangeEvents {
  /** Replies can be sent. */
  readonly onReply: () => void;
  /** No more lines are taken, for the reason that `whyOver` gave, if there is one. */
  readonly onOver: (why: string | undefined) => void;
  /** A chunk will never be answered. */
  readonly onFailed: () => void;
}

export class Exchange {
  isGone = false;
  readonly #work: LineWork;
  readonly #events: ExchangeEvents;
  #waiting: string[] = [];
  #next = 0;
  #taken = 0;
  #answered = 0;
  #sent = 0;
  /**
   * From `head` on: with order, the replies after the last one that was sent; without, the replies
   * that are ready.
   */
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

  /** Lines that wait or are taken, and whose replies have not been sent. */
  get open(): number {
    return this.#waiting.length - this.#next + this.#taken - this.#sent;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether all lines were passed on, and more are wanted. */
  get isIdle(): boolean {
    return this.#isOver || (!this.#isBusy && this.#next === this.#waiting.length);
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.isIdle) resolve();
    });
  }

  /** Adds lines, except blank ones; `handOver` passes them on. */
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

  /**
   * Replies that can be sent, separated by newlines, of about this many characters; empty if there
   * are none.
   */
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

  /** How many of the waiting lines can be passed on now. */
  #ready(): number {
    const waiting = this.#waiting.length - this.#next;
    if (waiting === 0) return 0;
    const why = this.#work.whyOver?.();
    if (why !== undefined) {
      this.end(why);
      return 0;
    }
    const count = Math.min(waiting, this.#work.chunkLines);
    // Not fewer than a chunk, so that chunks do not become small while replies are sent slowly.
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
