/**
 * Latencies counted in steps of one per cent: a million or a billion of them use the same small
 * memory.
 */
const STEP = Math.log(1.01);
/** Up to about seven minutes. */
const STEPS = 2_000;

export class Latencies {
  readonly #counts = new Float64Array(STEPS);
  #count = 0;

  /** Combines the latencies of several. */
  static of(...several: readonly Latencies[]): Latencies {
    const all = new Latencies();
    for (const each of several) {
      all.#count += each.#count;
      for (const [step, count] of each.#counts.entries()) {
        all.#counts[step] = (all.#counts[step] ?? 0) + count;
      }
    }
    return all;
  }

  add(ms: number): void {
    const step = ms <= 0.001 ? 0 : Math.floor(Math.log(ms * 1_000) / STEP);
    const index = step < STEPS ? step : STEPS - 1;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count += 1;
  }

  /**
   * The smallest latency that this share does not exceed, up to one per cent too high; 0 if there
   * are none.
   */
  quantileMs(share: number): number {
    let left = Math.ceil(this.#count * share);
    if (left === 0) return 0;
    for (const [index, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.exp((index + 1) * STEP) / 1_000;
    }
    return Number.POSITIVE_INFINITY;
  }
}
