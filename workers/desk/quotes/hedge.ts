/**
 * Another question when those before have no answer yet: the legacy server
 * answers in milliseconds or in seconds, and which it will be is drawn anew each
 * time. One in three is slow, so the fourth leaves one in eighty, for half a
 * question more on average.
 */
import type { Answer } from "./port.ts";

export interface HedgeOptions {
  /** After how long without a quote the next question is asked. */
  readonly afterMs: number;
  /** Questions in all. */
  readonly most: number;
  /** Told of each answer as it comes, the one that is no longer wanted, too: it is paid as well. */
  readonly onAnswer: (answer: Answer, wanted: boolean) => void;
}

/** The first quote that comes; what went wrong first where none does. */
export async function askHedged(
  ask: () => Promise<Answer>,
  { afterMs, most, onAnswer }: HedgeOptions,
): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let over = false;
  let open = 0;
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failure: Answer | undefined;

  function put(): void {
    open += 1;
    asked += 1;
    if (asked < most) timer = setTimeout(put, afterMs);
    void ask()
      // A source answers with a kind; one that throws did not take the question.
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

  put();
  return await promise;
}
