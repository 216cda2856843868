/**
 * `POST /v1/desk/commands`: lines in and a reply line for each out, while more
 * may still come, or one command as JSON. The next lines are read when the
 * replies to those before them have been taken, so nothing piles up here.
 */
import type { Context } from "hono";
import { formatDeskLine, isBlank } from "../../domain/desk/command.ts";
import { lineCutter } from "../../domain/desk/lines.ts";
import { failure } from "../../domain/result.ts";
import { requireScope } from "../bearer.ts";
import { checkBody, mediaTypeOf, readJson } from "../body.ts";
import type { Edge, EdgeApp, EdgeHono } from "../edge.ts";
import { describe, jsonOf } from "../openapi.ts";
import { problemResponse } from "../problems.ts";
import { BODY_PROBLEMS } from "../signals.ts";
import { MAX_CHUNK_LINES, relay, replyTo, type Sender } from "./relay.ts";
import { CommandBody, ReplyAnswer } from "./schemas.ts";
import { SENDER_PROBLEMS, senderOf, SESSION_HEADER, sessionOf } from "./sender.ts";

/** Less than the desk's own, so that it is never the desk that seems to fail. */
const READER_PATIENCE_MS = 20_000;
const ENDED = { done: true, value: undefined } as const;

export function serveDeskCommands(app: EdgeApp, edge: Edge): void {
  app.post(
    "/v1/desk/commands",
    describe({
      operationId: "commandDesk",
      summary: "Command the desk",
      description:
        "Lines such as `[1] BUY,alice,ABC,50.00`, one or a stream of them, each answered by a line of JSON in its order; " +
        "or, as `application/json`, one command, answered by its reply. A refused command has `ok: false` and a `code`.",
      scope: "desk:trade",
      parameters: [SESSION_HEADER],
      requestBody: { "text/plain": { schema: { type: "string" } }, ...jsonOf(CommandBody) },
      responses: {
        "200": {
          description: "What became of each command.",
          content: {
            "application/x-ndjson": { schema: { type: "string" } },
            ...jsonOf(ReplyAnswer),
          },
        },
      },
      problems: ["HEADER_INVALID", ...BODY_PROBLEMS, ...SENDER_PROBLEMS],
    }),
    requireScope(edge, "desk:trade"),
    async (c) => {
      const session = sessionOf(c.req.header("command-session"));
      const sender = session.ok ? senderOf(c, edge, session.value) : session;
      if (!sender.ok) return problemResponse(sender);
      if (mediaTypeOf(c.req.raw) === "application/json") return answerOne(c, sender.value);
      const { expiresAtMs } = c.var.caller;
      const replies = repliesTo(sender.value, c.req.raw.body, () => edge.clock() < expiresAtMs);
      return new Response(streamOf(replies), {
        headers: { "content-type": "application/x-ndjson" },
      });
    },
  );
}

async function answerOne(c: Context<EdgeHono>, sender: Sender): Promise<Response> {
  const json = await readJson(c.req.raw);
  const body = json.ok ? checkBody(CommandBody, json.value) : json;
  if (!body.ok) return problemResponse(body);
  const { n, command: name, user = c.var.caller.person, ...rest } = body.value;
  const { symbol = "", amountCents = 0, file = "" } = rest;
  const line = formatDeskLine(n ?? null, { name, user, symbol, cents: amountCents, file });
  const reply = await replyTo(sender, line);
  return reply.code === "DESK_UNAVAILABLE"
    ? problemResponse(failure("DESK_UNAVAILABLE"))
    : c.json(reply);
}

/** Ends where the token does: what was not taken by then is not answered. */
async function* repliesTo(
  sender: Sender,
  body: ReadableStream<Uint8Array> | null,
  isAllowed: () => boolean,
): AsyncGenerator<readonly string[], void, void> {
  const cutter = lineCutter();
  const reader = body?.getReader();
  try {
    for (;;) {
      const piece = await reader?.read();
      const ended = piece === undefined || piece.done;
      const lines = ended ? [cutter.rest()] : cutter.take(piece.value);
      for (const chunk of chunksOf(lines.filter((line) => !isBlank(line)))) {
        if (!isAllowed()) return;
        yield* relay(sender, chunk);
      }
      if (ended) return;
    }
  } finally {
    // The sender may have broken off.
    reader?.cancel().catch(() => {});
  }
}

function* chunksOf(lines: readonly string[]): Generator<readonly string[], void, void> {
  for (let at = 0; at < lines.length; at += MAX_CHUNK_LINES) {
    yield lines.slice(at, at + MAX_CHUNK_LINES);
  }
}

/** A reader that takes nothing for long is given up. */
function streamOf(
  replies: AsyncGenerator<readonly string[], void, void>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let patience: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      clearTimeout(patience);
      for (;;) {
        // A sender that broke off is done for, and there is nobody to tell.
        const { done, value } = await replies.next().catch(() => ENDED);
        if (done) {
          controller.close();
          return;
        }
        if (value.length === 0) continue;
        controller.enqueue(encoder.encode(`${value.join("\n")}\n`));
        break;
      }
      patience = setTimeout(() => {
        controller.error(new Error("the reader does not read"));
        void replies.return();
      }, READER_PATIENCE_MS);
    },
    cancel() {
      clearTimeout(patience);
      void replies.return();
    },
  });
}
