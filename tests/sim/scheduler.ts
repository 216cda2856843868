/**
 * Virtual time. Due tasks run in the order of their times, and between two moments every promise
 * that can continue does so; there is no other timer. Run it from a macrotask, because microtasks
 * cannot be drained from inside one.
 */
import { drainMicrotasks } from "bun:jsc";
import type { Clock } from "../../workers/runtime/clock.ts";

interface Due {
  readonly atUs: number;
  /** Tasks that are due at the same time run in the order in which they were scheduled. */
  readonly order: number;
  readonly run: () => void;
}

/** An arbitrary date. */
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

/** A process: code that can die or be suspended between any two of its steps. */
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

  /** None of its code ever continues. What it has sent is still in flight. */
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

  /** A step of the process's own code: an answer that arrives, a timer that ends. */
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
