/**
 * `POST /v1/desk/commands`: lines in and a reply line for each out, while more
 * may still come, or one command as JSON. The next lines are read when the
 * replies to those before them have been taken, so nothing piles up here.
 */
import * as v from "valibot";
import { formatDeskLine, isBlank } from "../../domain/desk/command.ts";
import { lineCutter } from "../../domain/desk/lines.ts";
import { failure } from "../../domain/result.ts";
import { json, mediaTypeOf, unread } from "../../http/body.ts";
import { reply, type Reply } from "../../http/operation.ts";
import type { Edge, EdgeService } from "../edge.ts";
import type { Caller } from "../tokens.ts";
import { MAX_CHUNK_LINES, relay, replyTo, type Sender } from "./relay.ts";
import { CommandBody, ReplyAnswer } from "./schemas.ts";
import { SENDER_PROBLEMS, senderOf, SESSION } from "./sender.ts";

/** Less than the desk's own, so that it is never the desk that seems to fail. */
const READER_PATIENCE_MS = 20_000;
const ONE_COMMAND = json(CommandBody);
const ENDED = { done: true, value: undefined } as const;

export function serveDeskCommands(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "POST",
    path: "/v1/desk/commands",
    operationId: "commandDesk",
    summary: "Command the desk",
    description:
      "Lines such as `[1] BUY,alice,ABC,50.00`, one or a stream of them, each answered by a line of JSON in its order; " +
      "or, as `application/json`, one command, answered by its reply. A refused command has `ok: false` and a `code`.",
    permission: "desk:trade",
    headers: { "Command-Session": SESSION },
    body: unread({ "text/plain": [v.string()], "application/json": [CommandBody] }),
    answers: {
      200: {
        description: "What became of each command.",
        body: ReplyAnswer,
        content: { "application/x-ndjson": v.string() },
      },
    },
    problems: SENDER_PROBLEMS,
    async handle(call) {
      const { caller, headers, request } = call;
      const sender = senderOf(call, edge, headers["Command-Session"]);
      if (!sender.ok) return sender;
      if (mediaTypeOf(request) === "application/json") {
        return await answerOne(request, caller, sender.value);
      }
      const replies = repliesTo(
        sender.value,
        request.body,
        () => edge.clock() < caller.expiresAtMs,
      );
      return new Response(streamOf(replies), {
        headers: { "content-type": "application/x-ndjson" },
      });
    },
  });
}

async function answerOne(request: Request, caller: Caller, sender: Sender): Promise<Reply> {
  const body = await ONE_COMMAND.read(request);
  if (!body.ok) return body;
  const { n, command: name, user = caller.person, ...rest } = body.value;
  const { symbol = "", amountCents = 0, file = "" } = rest;
  const line = formatDeskLine(n ?? null, { name, user, symbol, cents: amountCents, file });
  const answer = await replyTo(sender, line);
  return answer.code === "DESK_UNAVAILABLE" ? failure("DESK_UNAVAILABLE") : reply(answer);
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
