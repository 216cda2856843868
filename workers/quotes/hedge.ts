/**
 * A second question when the first has no answer yet: the legacy server answers
 * in milliseconds or in seconds, and which it will be is drawn anew each time.
 */
import type { Answer } from "./port.ts";

export interface HedgeOptions {
  /** After how long the second question is asked. */
  readonly afterMs: number;
  /** Told of each answer as it comes, the one that is no longer wanted, too: it is paid as well. */
  readonly onAnswer: (answer: Answer, wanted: boolean) => void;
}

/** The first quote of the two; what went wrong with the first where neither is one. */
export async function askHedged(
  ask: () => Promise<Answer>,
  { afterMs, onAnswer }: HedgeOptions,
): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let over = false;
  let open = 0;
  let failure: Answer | undefined;

  function put(): void {
    open += 1;
    void ask()
      .catch((): Answer => ({ kind: "refused" }))
      .then((answer) => {
        open -= 1;
        const wanted = !over && answer.kind === "quoted";
        onAnswer(answer, wanted);
        if (over) return;
        failure ??= answer;
        if (wanted || open === 0) finish(wanted ? answer : failure);
      });
  }
  function finish(answer: Answer): void {
    over = true;
    clearTimeout(timer);
    resolve(answer);
  }

  const timer = setTimeout(put, afterMs);
  put();
  return await promise;
}
