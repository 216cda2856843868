/**
 * Calls to regions that may be away. A call to one that does not answer hangs
 * for as long as it takes to connect again, so it is given up in time; and a
 * region that was given up is left alone for a moment, so that the many calls
 * which wait for it do not each take their time with it.
 */
import type { Clock } from "../../runtime/clock.ts";

const ANSWER_MS = 1_000;
const AWAY_MS = 1_000;
const LATE = Symbol("late");

export class Reach {
  readonly #clock: Clock;
  /** Region → until when it is left alone, epoch milliseconds. */
  readonly #away = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects where the call does, and where it took too long: then whether it took effect is unknown. */
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
