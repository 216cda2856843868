/** The audit log of one user or of all, read in pieces, so that a log may have any length. */
import * as v from "valibot";
import { DESK_USER_PATTERN } from "../../../domain/desk/command.ts";
import { orEmpty } from "../../../http/field.ts";
import type { AccountId } from "../../../domain/ids.ts";
import { historyOf } from "../audit/history.ts";
import { auditOf } from "../audit/merged.ts";
import type { StoredEntry } from "../audit/port.ts";
import { LOG_HEAD, LOG_TAIL, logOf } from "./log-xml.ts";
import { serverOf, type Desk, type DeskService, type LogSource } from "./service.ts";

const PIECE_CHARACTERS = 64 * 1024;

export function serveLog(service: DeskService, { log }: Desk): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/log",
    operationId: "readDeskLog",
    summary: "The audit of a user, or of all, as XML",
    permission: "desk:admin",
    query: v.object({
      user: v.optional(orEmpty(DESK_USER_PATTERN, "must be 1 to 64 letters and digits"), ""),
    }),
    answers: {
      200: { description: "All of it.", content: { "application/xml": v.string() } },
    },
    problems: [],
    handle({ query: { user }, request, context }) {
      // The log is read only as fast as its reader accepts it.
      serverOf(context).timeout(request, 0);
      return streamLog(log, user);
    },
  });
}

/** Contains everything that was acknowledged before it began. An empty user means all users. */
export async function* logPieces(
  { store, redis, partitions }: LogSource,
  user: string,
): AsyncGenerator<string> {
  const only = user === "" ? undefined : user;
  const read = (partition: number): AsyncIterable<StoredEntry> =>
    auditOf(store, redis, partition, only);
  const wanted =
    user === ""
      ? partitions.all().map(read)
      : [historyOf(store, partitions.ofAccount(user as AccountId), read)];
  let piece = LOG_HEAD;
  for (const entries of wanted) {
    for await (const entry of entries) {
      piece += logOf(entry, only);
      if (piece.length < PIECE_CHARACTERS) continue;
      yield piece;
      piece = "";
    }
  }
  yield piece + LOG_TAIL;
}

function streamLog(source: LogSource, user: string): Response {
  const pieces = logPieces(source, user);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
  return new Response(body, { headers: { "content-type": "application/xml" } });
}
