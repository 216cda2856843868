import { expect, test } from "bun:test";
import { problemOf } from "../../../domain/error-codes.ts";
import type { Answer } from "../answer.ts";
import type { Command, CommandReply, DeskApi } from "./api.ts";
import { DeskSession } from "./session.ts";

const DONE: Answer<CommandReply> = { kind: "ok", value: { ok: true } };
const LOST: Answer<CommandReply> = { kind: "lost" };
const UNKNOWN: Answer<CommandReply> = {
  kind: "ok",
  value: { ok: false, code: "OUTCOME_UNKNOWN", message: "…" },
};

/** Answers in turn, and notes what it was sent under which number. */
function deskOf(answers: readonly Answer<CommandReply>[]) {
  const sent: [command: string, n: number][] = [];
  const sessions = new Set<string>();
  const send = async ({ command }: Command, session: string, n: number) => {
    sessions.add(session);
    sent.push([command, n]);
    return await Promise.resolve(answers[sent.length - 1] ?? DONE);
  };
  return { session: new DeskSession({ send } as unknown as DeskApi, 0), sent, sessions };
}

test("a command whose answer is lost or not known is sent again with its number", async () => {
  const { session, sent, sessions } = deskOf([LOST, UNKNOWN, DONE, DONE]);
  expect(await session.send({ command: "COMMIT_BUY" })).toMatchObject({ kind: "done" });
  expect(await session.send({ command: "COMMIT_BUY" })).toMatchObject({ kind: "done" });
  expect(sent.map(([, n]) => n)).toEqual([1, 1, 1, 2]);
  expect(sessions.size).toBe(1);
});

test("while one is unclear, pressing anything asks about that one and sends nothing else", async () => {
  const { session, sent } = deskOf([LOST, LOST, LOST]);
  expect(await session.send({ command: "COMMIT_BUY" })).toEqual({ kind: "unclear" });
  expect(session.unclear).toEqual({ command: "COMMIT_BUY" });
  expect(await session.send({ command: "SELL" })).toMatchObject({ kind: "done" });
  expect(sent.at(-1)).toEqual(["COMMIT_BUY", 1]);
  expect(session.unclear).toBeUndefined();
});

test("a refusal is final, in the desk's own words", async () => {
  const message = "Fewer shares are owned than that.";
  const refused = { ok: false, code: "SHARES_TOO_FEW", message } as const;
  const { session, sent } = deskOf([{ kind: "ok", value: refused }]);
  expect(await session.send({ command: "SELL" })).toEqual({ kind: "refused", message });
  const problem = problemOf("BODY_INVALID");
  const other = deskOf([{ kind: "problem", problem }]);
  expect(await other.session.send({ command: "SELL" })).toEqual({ kind: "problem", problem });
  expect([sent.length, other.sent.length]).toEqual([1, 1]);
});
