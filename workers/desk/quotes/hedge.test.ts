import { expect, test } from "bun:test";
import { until } from "../../../tests/support/wait.ts";
import { breaker } from "./breaker.ts";
import { askHedged } from "./hedge.ts";
import type { Answer } from "./port.ts";

function quoted(priceMicros: number): Answer {
  const quote = { symbol: "ABC", priceMicros, sourceTimeMs: 1 };
  return { kind: "quoted", quote, cryptokey: "k", user: "me" };
}

/** Questions that the test answers itself. */
function byHand(afterMs: number, most = 2) {
  const questions: PromiseWithResolvers<Answer>[] = [];
  const reported: [Answer, wanted: boolean][] = [];
  const answer = askHedged(
    () => {
      const question = Promise.withResolvers<Answer>();
      questions.push(question);
      return question.promise;
    },
    { afterMs, most, onAnswer: (each, wanted) => void reported.push([each, wanted]) },
  );
  return { questions, reported, answer };
}

test("a question with a quick answer is sent once", async () => {
  const { questions, reported, answer } = byHand(10_000);
  questions[0]!.resolve(quoted(1));
  expect(await answer).toEqual(quoted(1));
  expect(questions).toHaveLength(1);
  expect(reported).toEqual([[quoted(1), true]]);
});

test("a slow question is sent again, the first quote counts, and the other is reported when it comes", async () => {
  const { questions, reported, answer } = byHand(5);
  await until("it is asked again", () => questions.length === 2);
  questions[1]!.resolve(quoted(2));
  expect(await answer).toEqual(quoted(2));
  questions[0]!.resolve(quoted(1));
  await until("the late one is reported", () => reported.length === 2);
  expect(reported).toEqual([
    [quoted(2), true],
    [quoted(1), false],
  ]);
});

test("at most four questions are sent, and the first quote of all counts", async () => {
  const { questions, reported, answer } = byHand(2, 4);
  await until("it is asked four times", () => questions.length === 4);
  questions[3]!.resolve(quoted(4));
  expect(await answer).toEqual(quoted(4));
  const nowMs = performance.now();
  await until("it could have been asked again", () => performance.now() - nowMs > 20);
  expect(questions).toHaveLength(4);
  expect(reported).toEqual([[quoted(4), true]]);
});

test("a failure is not final while another question may still be answered", async () => {
  const { questions, answer } = byHand(5);
  await until("it is asked again", () => questions.length === 2);
  questions[0]!.resolve({ kind: "garbage" });
  questions[1]!.resolve(quoted(2));
  expect(await answer).toEqual(quoted(2));
});

test("a failure before the second question is sent is the answer", async () => {
  const { questions, answer } = byHand(10_000);
  questions[0]!.resolve({ kind: "refused" });
  expect(await answer).toEqual({ kind: "refused" });
  expect(questions).toHaveLength(1);
});

test("a dead source gets no questions after five failures, one trial after the pause, and all again once it answers", async () => {
  let nowMs = 0;
  let dead = true;
  let asked = 0;
  const source = breaker(
    {
      ask: async () => {
        asked += 1;
        return dead ? { kind: "silent" } : quoted(1);
      },
    },
    { failures: 5, pauseMs: 1_000, now: () => nowMs },
  );
  for (let count = 0; count < 20; count += 1) await source.ask("ABC");
  expect(asked).toBe(5);
  expect(await source.ask("ABC")).toEqual({ kind: "refused" });
  nowMs = 1_000;
  // Of many at once, one is the trial.
  await Promise.all([source.ask("ABC"), source.ask("ABC"), source.ask("ABC")]);
  expect(asked).toBe(6);
  nowMs = 2_000;
  dead = false;
  expect(await source.ask("ABC")).toEqual(quoted(1));
  expect(await source.ask("ABC")).toEqual(quoted(1));
  expect(asked).toBe(8);
});
