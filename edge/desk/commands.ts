/**
 * `POST /v1/desk/commands`: lines in and a reply line for each out, while more
 * may still come, or one command as JSON.
 */
import * as v from "valibot";
import { formatDeskLine } from "../../domain/desk/command.ts";
import { failure } from "../../domain/result.ts";
import type { Edge, EdgeService } from "../edge.ts";
import { json, readMediaType, unread } from "../../http/body.ts";
import type { Caller } from "../tokens.ts";
import { type Sender, relayedLines, replyTo } from "./relay.ts";
import { answerStream } from "../../http/line-stream.ts";
import { type Reply, reply } from "../../http/operation.ts";
import { CommandBody, ReplyAnswer } from "./schemas.ts";
import { SENDER_PROBLEMS, identifySender, SESSION } from "./sender.ts";

/** Shorter than the desk's own limit, so that a slow reader never looks like a failed desk. */
const READER_PATIENCE_MS = 20_000;
const ONE_COMMAND = json(CommandBody);

export function serveDeskCommands(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "POST",
    path: "/v1/desk/commands",
    operationId: "commandDesk",
    summary: "Command the desk",
    description:
      "Lines such as `[1] BUY,alice,ABC,50.00`, one or a stream of them, each answered by a line of JSON, in order; " +
      "or, as `application/json`, one command, answered by its reply. A refused command has `ok: false` and a `code`.",
    permission: "desk:trade",
    headers: { "Command-Session": SESSION },
    body: unread({ "text/plain": [v.string()], "application/json": [CommandBody] }),
    answers: {
      200: {
        description: "The reply to each command.",
        body: ReplyAnswer,
        content: { "application/x-ndjson": v.string() },
      },
    },
    problems: SENDER_PROBLEMS,
    async handle(call) {
      const { caller, headers, request } = call;
      const sender = identifySender(call, edge, headers["Command-Session"]);
      if (!sender.ok) return sender;
      if (readMediaType(request) === "application/json") {
        return await answerOne(request, caller, sender.value);
      }
      // Ends when the token expires: lines that were not taken by then get no answer.
      const whyOver = () => (edge.clock() < caller.expiresAtMs ? undefined : "TOKEN_EXPIRED");
      const work = relayedLines(sender.value, { whyOver });
      const options = { stop: edge.stop, patienceMs: READER_PATIENCE_MS };
      return new Response(answerStream(request.body, work, options), {
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
