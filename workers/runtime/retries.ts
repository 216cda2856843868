/** Entries that are to be tried again, each at its own time. */
import type { Entry } from "./entries.ts";

export interface Retry {
  readonly entry: Entry;
  /** It is handled alone, so that a failure is certainly its own. */
  readonly alone?: boolean;
  /** Whether its failure is counted in Redis. */
  readonly counted?: boolean;
  /** How often it was tried in this process. */
  readonly tries: number;
  /** When it is due, epoch milliseconds. */
  readonly atMs: number;
}

/**
 * At most this many are kept in memory. Others are pending in Redis, and are read from there later.
 */
const MOST_WAITING = 1_000;

export class Retries {
  readonly #waiting = new Map<string, Retry>();

  #overflowed = false;

  add(retry: Retry): void {
    if (this.#waiting.size >= MOST_WAITING && !this.has(retry.entry.id)) this.#overflowed = true;
    else this.#waiting.set(retry.entry.id, retry);
  }

  /** True once after an overflow, when half of the waiting entries are finished. */
  hasRoomAgain(): boolean {
    if (!this.#overflowed || this.#waiting.size > MOST_WAITING / 2) return false;
    this.#overflowed = false;
    return true;
  }

  has(id: string): boolean {
    return this.#waiting.has(id);
  }

  /** Takes out the due entries, as at most this many calls of this many entries. */
  takeDue(nowMs: number, calls: number, batch: number): readonly (readonly Retry[])[] {
    if (this.#waiting.size === 0) return [];
    const taken: Retry[][] = [];
    let together: Retry[] | undefined;
    for (const [id, retry] of this.#waiting) {
      if (retry.atMs > nowMs) continue;
      if (retry.alone !== true && together !== undefined && together.length < batch) {
        together.push(retry);
      } else {
        if (taken.length >= calls) break;
        const call = [retry];
        taken.push(call);
        if (retry.alone !== true) together = call;
      }
      this.#waiting.delete(id);
    }
    return taken;
  }

  /** The time until the next one is due, at most this long. */
  dueInMs(nowMs: number, mostMs: number): number {
    let least = mostMs;
    for (const { atMs } of this.#waiting.values()) least = Math.min(least, atMs - nowMs);
    return Math.max(0, least);
  }
}
