/**
 * The usage of a follower with caps, as plainly as it can be written: what Redis'
 * scripts are compared with. Production does not import it.
 */
import { parseUsage, type Usage } from "../../domain/copier/caps.ts";

/** As it is stored. */
export function formatUsage({ day, stakedCents, open, lossCents, revision }: Usage): string {
  return [day, stakedCents, open, lossCents, revision].join(",");
}

interface Held {
  stakeCents: number;
  readonly day: number;
}

/** Of one subscription. */
export class UsageModel {
  #usage = parseUsage("");
  readonly #held = new Map<string, Held>();

  get usage(): Usage {
    return this.#usage;
  }

  get held(): number {
    return this.#held.size;
  }

  /** An order is decided on: a clock that is behind finds the later day's usage, and counts there. */
  stake(id: string, stakeCents: number, decidedOn: number): void {
    this.#begin(decidedOn);
    const { day, stakedCents, open } = this.#usage;
    this.#change({ stakedCents: stakedCents + stakeCents, open: open + 1 });
    this.#held.set(id, { stakeCents, day });
  }

  /** It was never opened. */
  release(id: string): void {
    const held = this.#take(id);
    if (!held) return;
    const { day, stakedCents, open } = this.#usage;
    const backCents = held.day === day ? held.stakeCents : 0;
    this.#change({ stakedCents: stakedCents - backCents, open: open - 1 });
  }

  /** It was opened for less than was asked. */
  fill(id: string, filledCents: number): void {
    const held = this.#held.get(id);
    if (!held) return;
    const { day, stakedCents } = this.#usage;
    const backCents = held.day === day ? held.stakeCents - filledCents : 0;
    held.stakeCents = filledCents;
    this.#change({ stakedCents: stakedCents - backCents });
  }

  /** It has ended, which counts as a loss unless it is of a day that is over. Answers whether it was held. */
  settle(id: string, returnCents: number, day: number): boolean {
    const held = this.#take(id);
    if (!held) return false;
    this.#begin(day);
    const lossCents = day < this.#usage.day ? 0 : held.stakeCents - returnCents;
    this.#change({ open: this.#usage.open - 1, lossCents: this.#usage.lossCents + lossCents });
    return true;
  }

  #begin(day: number): void {
    if (day > this.#usage.day) {
      this.#usage = { ...this.#usage, day, stakedCents: 0, lossCents: 0 };
    }
  }

  #take(id: string): Held | undefined {
    const held = this.#held.get(id);
    this.#held.delete(id);
    return held;
  }

  #change(changes: Partial<Usage>): void {
    this.#usage = { ...this.#usage, ...changes, revision: this.#usage.revision + 1 };
  }
}
