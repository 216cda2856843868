/**
 * Virtual time. What is due runs in the order of its time, and between two
 * moments every promise that can go on goes on; there is no other timer. To be
 * run from a macrotask, as microtasks cannot be drained from inside of one.
 */
import { drainMicrotasks } from "bun:jsc";
import type { Clock } from "../../workers/runtime/clock.ts";

interface Due {
  readonly atUs: number;
  /** What is due at the same time runs in the order in which it was asked for. */
  readonly order: number;
  readonly run: () => void;
}

/** A time of day like any other. */
const START_MS = 1_750_000_000_000;

export class Scheduler {
  /** Microseconds since the start. */
  nowUs = 0;
  /** A binary heap. */
  readonly #due: Due[] = [];
  #order = 0;

  nowMs(): number {
    return START_MS + Math.floor(this.nowUs / 1_000);
  }

  after(delayUs: number, run: () => void): void {
    this.at(this.nowUs + delayUs, run);
  }

  at(atUs: number, run: () => void): void {
    const heap = this.#due;
    const item = { atUs: Math.max(atUs, this.nowUs), order: (this.#order += 1), run };
    let index = heap.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(item, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = item;
  }

  /** Runs until `isOver` or nothing is due any more. */
  run(isOver: () => boolean): void {
    drainMicrotasks();
    while (!isOver()) {
      const next = this.#take();
      if (!next) return;
      this.nowUs = next.atUs;
      next.run();
      drainMicrotasks();
    }
  }

  #take(): Due | undefined {
    const heap = this.#due;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

/** A process: code that can die or be halted by its machine between any two of its steps. */
export class Process {
  readonly name: string;
  readonly #scheduler: Scheduler;
  #alive = true;
  #pausedUntilUs = 0;
  /** Steps until `strike` is called instead of the next. */
  #fuse = Number.POSITIVE_INFINITY;
  #strike = (): void => {};

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Nothing of it ever goes on. What it has sent is on its way all the same. */
  kill(): void {
    this.#alive = false;
  }

  pauseUntil(atUs: number): void {
    this.#pausedUntilUs = Math.max(this.#pausedUntilUs, atUs);
  }

  /** Calls `strike` in place of the step after this many. */
  setFuse(steps: number, strike: () => void): void {
    this.#fuse = steps;
    this.#strike = strike;
  }

  /** A step of the process' own code: an answer that arrives, a timer that ends. */
  step(atUs: number, run: () => void): void {
    this.#scheduler.at(atUs, () => {
      this.#fuse -= 1;
      if (this.#alive && this.#fuse < 0) {
        this.#fuse = Number.POSITIVE_INFINITY;
        this.#strike();
      }
      if (!this.#alive) return;
      if (this.#scheduler.nowUs < this.#pausedUntilUs) this.step(this.#pausedUntilUs, run);
      else run();
    });
  }

  clock(): Clock {
    const scheduler = this.#scheduler;
    return {
      nowMs: () => scheduler.nowMs(),
      sleep: (ms) =>
        new Promise((resolve) => {
          this.step(scheduler.nowUs + ms * 1_000, resolve);
        }),
    };
  }
}
