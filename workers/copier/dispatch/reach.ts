/**
 * Calls to regions that may be away. A call to such a region hangs until it
 * connects again, so it ends at a time limit. After that the region is not called
 * for a moment, so that many waiting calls do not each wait for the limit.
 */
import type { Clock } from "../../runtime/clock.ts";

const ANSWER_MS = 1_000;
const AWAY_MS = 1_000;
const LATE = Symbol("late");

export class Reach {
  readonly #clock: Clock;
  /** Region → until when it is not called, epoch milliseconds. */
  readonly #away = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Rejects if the call does, or if it took too long. Then it is not known whether
   * the call took effect.
   */
  async call<T>(region: string, work: () => Promise<T>): Promise<T> {
    if (this.#clock.nowMs() < (this.#away.get(region) ?? 0)) throw new Error("the region is away");
    const answer = work();
    const late = this.#clock.sleep(ANSWER_MS).then((): typeof LATE => LATE);
    const first = await Promise.race([answer, late]);
    if (first !== LATE) return first;
    this.#away.set(region, this.#clock.nowMs() + AWAY_MS);
    throw new Error("the region did not answer in time");
  }
}
