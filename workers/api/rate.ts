/**
 * Limits how often each of many names may do something within a time; each process counts for
 * itself.
 */

export interface RateLimit {
  readonly max: number;
  readonly windowMs: number;
  /** How many names are stored: more than can be active within the window. */
  readonly maxNames: number;
}

export interface Rate {
  /** Counts an attempt, and returns whether it is allowed. */
  take(name: string): boolean;
  forget(name: string): void;
}

export function createRate({ max, windowMs, maxNames }: RateLimit, clock: () => number): Rate {
  const attempts = new Map<string, { count: number; sinceMs: number }>();
  return {
    take(name) {
      const now = clock();
      const known = attempts.get(name);
      const current = known && now - known.sinceMs < windowMs ? known : { count: 0, sinceMs: now };
      current.count += 1;
      attempts.delete(name);
      attempts.set(name, current);
      const [oldest] = attempts.keys();
      if (attempts.size > maxNames && oldest !== undefined) attempts.delete(oldest);
      return current.count <= max;
    },
    forget(name) {
      attempts.delete(name);
    },
  };
}
