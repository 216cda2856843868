/**
 * One press of "send" and the idempotency key that goes with it. It is kept,
 * over a reload of the page too, until the edge has said what became of it, so
 * that however often it is tried again the signal takes effect only once.
 */
import type { SignalBody } from "./api.ts";
import type { Answer } from "./answer.ts";

export interface Attempt {
  readonly key: string;
  /** Keys are remembered per sender: another person's attempt is none of ours. */
  readonly person: string;
  readonly signal: SignalBody;
  /** Epoch milliseconds of the first press, by this machine's clock. */
  readonly pressedAt: number;
}

/** The edge remembers a key for 24 hours. An hour less, for clocks that differ. */
const KEY_LIFE_MS = 23 * 60 * 60 * 1000;
const SLOT = "fanfare.attempt";

/** Whether the answer leaves open what became of the attempt. `repeated` is true from the second try on. */
export function isUnclear(answer: Answer<unknown>, repeated: boolean): boolean {
  if (answer.kind === "ok") return false;
  if (answer.kind === "lost" || answer.problem.status >= 500) return true;
  // These stand before the store is asked: they say nothing about an earlier try.
  return repeated && (answer.problem.status === 401 || answer.problem.status === 429);
}

export function keepAttempt(storage: Storage, attempt: Attempt): void {
  storage.setItem(SLOT, JSON.stringify(attempt));
}

export function dropAttempt(storage: Storage): void {
  storage.removeItem(SLOT);
}

/** An attempt whose answer this person has not seen yet, unless it is too old for its key to protect it. */
export function keptAttempt(storage: Storage, person: string, now: number): Attempt | undefined {
  const text = storage.getItem(SLOT);
  if (text === null) return undefined;
  const attempt = JSON.parse(text) as Attempt;
  return attempt.person === person && now - attempt.pressedAt < KEY_LIFE_MS ? attempt : undefined;
}
