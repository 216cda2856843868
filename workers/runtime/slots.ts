/**
 * Limits how much a process has in progress at once, over all its loops. Waiting loops are served
 * in the order of asking, and a loop asks for no more than its own concurrency, so that a busy
 * stream does not delay the others.
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

  /** Resolves when the next slot is freed. */
  get freed(): Promise<void> {
    return this.#freed.promise;
  }

  async hold<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      // A finished call passes its slot on directly, so that no later caller gets it first.
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
