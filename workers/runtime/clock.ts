/** Time as a seam: the workers' own in production, a virtual one where a test runs hours in a moment. */
export interface Clock {
  /** Epoch milliseconds. */
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms) => Bun.sleep(ms),
};
