/**
 * How much a process has in hand at once, over all its loops. Whoever waits is
 * served in the order of asking, and a loop asks for no more than its own
 * concurrency, so that a busy stream does not keep the others waiting.
 */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  #freed = Promise.withResolvers<void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** How many are free; a loop reads no more than it could start. */
  get free(): number {
    return this.#free;
  }

  /** Resolves at the next time that one is given back. */
  get freed(): Promise<void> {
    return this.#freed.promise;
  }

  async hold<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      // Handed over by whoever ends, so that nobody who comes later is faster.
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn.resolve);
      await turn.promise;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else {
        this.#free += 1;
        this.#freed.resolve();
        this.#freed = Promise.withResolvers();
      }
    }
  }
}
