/** `POST /v1/signals` takes a signal; `GET /v1/signals/:id` shows the progress of its fan-out. */
import { SIGNAL_ID_PATTERN, type ChannelId } from "../domain/ids.ts";
import { acceptJson } from "../http/body.ts";
import { reply, type Reply } from "../http/operation.ts";
import { AcceptanceShape, ProgressShape } from "../http/progress.ts";
import { acceptanceAnswer, acceptSignal, type AcceptRequest } from "./accept.ts";
import { dispatch } from "./dispatch.ts";
import type { Edge, EdgeService } from "./edge.ts";
import { findSignal, readProgress } from "./progress.ts";
import { progressFromRecords } from "./records.ts";
import { checkSignal, SignalBody, toSignal } from "./schemas.ts";

/** The refusals that the accept script may return to any sender. */
export const ACCEPT_PROBLEMS = [
  "GRANT_MISSING",
  "GRANT_SYMBOL",
  "GRANT_STAKE",
  "GRANT_HOURS",
  "IDEMPOTENCY_CONFLICT",
  "SYMBOL_UNKNOWN",
  "SIGNAL_UNKNOWN",
  "CLOSE_TOO_LARGE",
  "TRADING_HALTED",
  "TRADING_DRAINED",
  "STORE_UNAVAILABLE",
  "STORE_MISMATCHED",
  "STORE_UNFILLED",
  "BACKLOG_FULL",
  "EDGE_BUSY",
] as const;

export const READ_PROBLEMS = ["STORE_UNAVAILABLE", "RECORDS_UNAVAILABLE"] as const;

export const ACCEPTED = {
  202: {
    description: "Accepted: the orders are being sent.",
    headers: { Location: "The address of its progress." },
    body: AcceptanceShape,
  },
} as const;

export const SIGNAL_ID = { pattern: SIGNAL_ID_PATTERN, unknown: "SIGNAL_UNKNOWN" } as const;

export const REPEATED =
  "For 24 hours, a repeat with the same key and body gets the first answer again; another body is a conflict.";

const OPEN_OR_CLOSE = `A signal opens a position for every follower, or with \`action: "close"\` closes
the open positions of the channel's signals in a symbol, or of one \`signal\`: it sells them back to the broker
before they expire. What a close closes is fixed when it is accepted; its \`followers\` are the copies that it may
have to close. It passes a drain, and waits under a halt until that is lifted.`;

const BODY = acceptJson([SignalBody.open, SignalBody.close], (value) =>
  checkSignal(SignalBody, value),
);

export function serveSignals(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "POST",
    path: "/v1/signals",
    operationId: "sendSignal",
    summary: "Send a signal to a channel",
    description: OPEN_OR_CLOSE,
    permission: "signals:write",
    idempotency: REPEATED,
    body: BODY,
    answers: ACCEPTED,
    problems: ACCEPT_PROBLEMS,
    handle: ({ body, caller, idempotencyKey, later }) =>
      answerSignal(edge, later, {
        signal: toSignal(body.channel as ChannelId, body),
        sender: caller.person,
        idempotencyKey,
      }),
  });

  service.serve({
    method: "GET",
    path: "/v1/signals/:id",
    operationId: "readSignal",
    summary: "The progress of a signal's fan-out",
    permission: "signals:read",
    params: { id: SIGNAL_ID },
    answers: { 200: { description: "Each follower is counted once.", body: ProgressShape } },
    problems: READ_PROBLEMS,
    async handle({ params, caller }) {
      const found = await findSignal(edge, caller, params.id);
      if (!found.ok) return found;
      if (found.value.where === "records") {
        return await progressFromRecords(edge, caller, found.value.id);
      }
      const progress = await readProgress(edge, found.value.stored);
      return progress.ok ? reply(progress.value) : progress;
    },
  });
}

/** Accepts and answers; the dispatch runs beside the answer. */
export async function answerSignal(
  edge: Edge,
  later: (task: Promise<unknown>) => void,
  request: AcceptRequest,
): Promise<Reply> {
  const accepted = await acceptSignal(edge, request);
  if (!accepted.ok) return accepted;
  later(dispatch(edge, accepted.value));
  const answer = acceptanceAnswer(accepted.value.acceptance);
  return reply(answer, { status: 202, headers: { location: `/v1/signals/${answer.id}` } });
}
