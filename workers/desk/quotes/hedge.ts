/**
 * Sends another question if the earlier ones have no answer yet. The legacy server answers
 * in milliseconds or in seconds, and each question is a new draw. One in three is slow, so
 * after four only one in eighty is slow, for half a question more on average.
 */
import type { Answer } from "./port.ts";

export interface HedgeOptions {
  /** If no quote has come after this time, the next question is sent. */
  readonly afterMs: number;
  /** All questions together. */
  readonly most: number;
  /**
   * Called for each answer as it comes, also for one that is no longer needed: it is paid
   * for as well.
   */
  readonly onAnswer: (answer: Answer, wanted: boolean) => void;
}

/** Returns the first quote that comes, or the first error if none comes. */
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
      // A source returns a kind. One that throws did not accept the question.
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
