/**
 * What one user may cost this server: lines per time, and audit entries of refused lines.
 * Only senders for one user are counted, which all day traders are. Administrators and the
 * holder of the desk's token send for any number of users at once, and are trusted with
 * the money of all of them.
 */
export interface UserLimitsOptions {
  readonly linesPerSecond: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
}

/** Lines come in bursts, so they are counted over some seconds. */
const LINES_WINDOW_MS = 4_000;
/** More than a person mistypes, and enough to see the error in the audit. */
const MAX_AUDITED_REFUSALS = 100;
const REFUSALS_WINDOW_MS = 60_000;

export class UserLimits {
  readonly #lines: Counts;
  readonly #refusals: Counts;

  constructor({ linesPerSecond, now }: UserLimitsOptions) {
    this.#lines = new Counts((linesPerSecond * LINES_WINDOW_MS) / 1_000, LINES_WINDOW_MS, now);
    this.#refusals = new Counts(MAX_AUDITED_REFUSALS, REFUSALS_WINDOW_MS, now);
  }

  /** Counts a line; false if it is one too many. */
  allowsLine(user: string): boolean {
    return this.#lines.add(user);
  }

  /** Counts a refused line; false if enough of its user are in the audit. */
  auditsRefusal(user: string): boolean {
    return this.#refusals.add(user);
  }
}

/** Counts by user, from zero again in each window. */
class Counts {
  readonly #most: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  #counts = new Map<string, number>();
  #endsAtMs = 0;

  constructor(most: number, windowMs: number, now: () => number) {
    this.#most = most;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** False if the limit is already used up. */
  add(user: string): boolean {
    const nowMs = this.#now();
    if (nowMs >= this.#endsAtMs) {
      this.#counts = new Map();
      this.#endsAtMs = nowMs + this.#windowMs;
    }
    const count = this.#counts.get(user) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(user, count + 1);
    return true;
  }
}
