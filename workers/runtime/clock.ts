/**
 * The clock is passed in: the real one in production, a virtual one in a test that runs hours in a
 * moment.
 */
export interface Clock {
  /** Epoch milliseconds. */
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms) => Bun.sleep(ms),
};
