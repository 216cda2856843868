/**
 * `POST /v1/desk/commands`: one reply line for each line, in their order, while more lines
 * arrive.
 */
import * as v from "valibot";
import { DESK_USER_PATTERN } from "../../../domain/desk/command.ts";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { unread } from "../../../http/body.ts";
import { orEmpty } from "../../../http/field.ts";
import { answerStream } from "../../../http/line-stream.ts";
import { lineWork } from "./commands.ts";
import { lineSender, SESSION } from "./sender.ts";
import { serverOf, type Desk, type DeskService } from "./service.ts";

/** Lines of one request that were accepted, but whose replies have not been read. */
const MAX_OPEN = 4_096;
const READER_PATIENCE_MS = 30_000;

const USER = v.optional(
  v.pipe(
    orEmpty(DESK_USER_PATTERN, "must be 1 to 64 letters and digits"),
    v.description("The one desk user who is spoken for; any user unless it is given."),
  ),
  "",
);
const SENDER = v.optional(
  v.pipe(
    orEmpty(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -"),
    v.description("The person who sends, whose session it is; the desk user unless it is given."),
  ),
);

export function serveCommands(service: DeskService, { commands, stop }: Desk): void {
  service.serve({
    method: "POST",
    path: "/v1/desk/commands",
    operationId: "commandDeskServer",
    summary: "Command the desk",
    description:
      "Lines such as `[1] BUY,alice,ABC,50.00`, one or a stream of them, each answered by a line of JSON in its order.",
    permission: "desk:admin",
    headers: { "Command-Session": SESSION, "Desk-User": USER, "Desk-Sender": SENDER },
    body: unread({ "text/plain": [v.string()] }, []),
    answers: {
      200: {
        description: "What became of each command.",
        content: { "application/x-ndjson": v.string() },
      },
    },
    problems: [],
    handle({ headers, request, context }) {
      const { "Desk-User": user, "Command-Session": session } = headers;
      const sender = lineSender(headers["Desk-Sender"] ?? user, user, session);
      // A stream of lines may pause for any time.
      serverOf(context).timeout(request, 0);
      const work = lineWork(commands, sender, { maxOpen: MAX_OPEN, order: "sent" });
      const options = { stop, patienceMs: READER_PATIENCE_MS };
      return new Response(answerStream(request.body, work, options), {
        headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
      });
    },
  });
}
