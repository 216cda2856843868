/** `POST /v1/desk/commands`: a reply line for each line, in their order, while lines still come. */
import { answerStream } from "../../../http/lines.ts";
import { lineWork, type DeskCommands } from "./commands.ts";
import type { LineSender } from "./sender.ts";

/** Lines of one request that are taken but whose replies have not been read. */
const MAX_OPEN = 4_096;
const READER_PATIENCE_MS = 30_000;

export function answerLines(
  commands: DeskCommands,
  body: ReadableStream<Uint8Array> | null,
  sender: LineSender,
  stop: AbortSignal,
): Response {
  const work = lineWork(commands, sender, { maxOpen: MAX_OPEN, order: "sent" });
  return new Response(answerStream(body, work, { stop, patienceMs: READER_PATIENCE_MS }), {
    headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
  });
}
