/**
 * Prevents waiting for a dead source: after several failures in a row, questions count as
 * refused at once, until a single trial question is answered.
 */
import type { Answer, AskedSource } from "./port.ts";

export interface BreakerOptions {
  readonly failures: number;
  /** How long no question is sent. Then one question is tried. */
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
        // This question is the trial; any other in the meantime is refused.
        closedUntilMs = options.now() + options.pauseMs;
      }
      const answer: Answer = await source.ask(symbol, user);
      // Any answer, even an invalid one for one symbol, shows that the source is alive.
      if (answer.kind === "quoted" || answer.kind === "garbage") failed = 0;
      else {
        failed += 1;
        closedUntilMs = options.now() + options.pauseMs;
      }
      return answer;
    },
  };
}
