/**
 * Keeps a dead source from being waited for: after some failures in a row it
 * counts as refused at once, until a single question has been answered again.
 */
import type { Answer, AskedSource } from "./port.ts";

export interface BreakerOptions {
  readonly failures: number;
  /** How long nobody asks; then one question is tried. */
  readonly pauseMs: number;
  readonly now: () => number;
}

export function breaker(source: AskedSource, options: BreakerOptions): AskedSource {
  let failed = 0;
  let closedUntilMs = 0;
  return {
    async ask(symbol, user) {
      if (failed >= options.failures) {
        if (options.now() < closedUntilMs) return { kind: "refused" };
        // This one tries; whoever comes while it does is refused.
        closedUntilMs = options.now() + options.pauseMs;
      }
      const answer: Answer = await source.ask(symbol, user);
      // Whoever answers, be it nonsense about one symbol, is not dead.
      if (answer.kind === "quoted" || answer.kind === "garbage") failed = 0;
      else {
        failed += 1;
        closedUntilMs = options.now() + options.pauseMs;
      }
      return answer;
    },
  };
}
