/** `POST /v1/signals` takes a signal; `GET /v1/signals/:id` says how far its fan-out is. */
import type { Context } from "hono";
import * as v from "valibot";
import type { Fault } from "../domain/error-codes.ts";
import type { ChannelId } from "../domain/ids.ts";
import { acceptanceAnswer, acceptSignal, type AcceptRequest } from "./accept.ts";
import { requireScope } from "./bearer.ts";
import { readJson } from "./body.ts";
import { dispatch } from "./dispatch.ts";
import type { Edge, EdgeApp, EdgeHono } from "./edge.ts";
import { anyOf, describe, IDEMPOTENCY_KEY_HEADER, jsonOf, type Parameter } from "./openapi.ts";
import { problemResponse } from "./problems.ts";
import { findSignal, readProgress } from "./progress.ts";
import { progressFromRecords } from "./records.ts";
import { failure, success, type Result } from "../domain/result.ts";
import {
  AcceptanceAnswer,
  checkSignal,
  ProgressAnswer,
  SignalBody,
  signalOf,
  visible,
} from "./schemas.ts";

/** What the accept script may say, whoever asked. */
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
  "BACKLOG_FULL",
  "EDGE_BUSY",
] as const;

export const BODY_PROBLEMS = [
  "BODY_MALFORMED",
  "BODY_TOO_LARGE",
  "BODY_TYPE_UNSUPPORTED",
  "BODY_INVALID",
] as const;

export const READ_PROBLEMS = [
  "SIGNAL_UNKNOWN",
  "STORE_UNAVAILABLE",
  "RECORDS_UNAVAILABLE",
] as const;

export const ACCEPTED = {
  "202": {
    description: "Accepted: the orders are on their way.",
    headers: { Location: { description: "Where its progress is.", schema: { type: "string" } } },
    content: jsonOf(AcceptanceAnswer),
  },
} as const;

export const SIGNAL_ID: Parameter = {
  name: "id",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^s[0-9a-z]{1,3}_[0-9a-f]{32}$" },
};

const OPEN_OR_CLOSE = `A signal opens a position for every follower, or with \`action: "close"\` closes
what the channel's signals in a symbol, or one \`signal\`, still have open: it sells it back to the broker before
it expires. What a close closes is fixed when it is accepted; its \`followers\` are the copies that it may have to
close. It passes a drain, and is kept under a halt until that is lifted.`;

export function serveSignals(app: EdgeApp, edge: Edge): void {
  app.post(
    "/v1/signals",
    describe({
      operationId: "sendSignal",
      summary: "Send a signal to a channel",
      description: OPEN_OR_CLOSE,
      scope: "signals:write",
      parameters: [IDEMPOTENCY_KEY_HEADER],
      requestBody: anyOf(SignalBody.open, SignalBody.close),
      responses: ACCEPTED,
      problems: ["HEADER_INVALID", ...BODY_PROBLEMS, ...ACCEPT_PROBLEMS],
    }),
    requireScope(edge, "signals:write"),
    async (c) => {
      const idempotencyKey = idempotencyKeyOf(c);
      if (!idempotencyKey.ok) return problemResponse(idempotencyKey);
      const body = await readJson(c.req.raw);
      const signal = body.ok ? checkSignal(SignalBody, body.value) : body;
      if (!signal.ok) return problemResponse(signal);
      return answerSignal(c, edge, {
        signal: signalOf(signal.value.channel as ChannelId, signal.value),
        sender: c.var.caller.person,
        idempotencyKey: idempotencyKey.value,
      });
    },
  );

  app.get(
    "/v1/signals/:id",
    describe({
      operationId: "readSignal",
      summary: "How far a signal's fan-out is",
      scope: "signals:read",
      parameters: [SIGNAL_ID],
      responses: {
        "200": { description: "Each follower is counted once.", content: jsonOf(ProgressAnswer) },
      },
      problems: READ_PROBLEMS,
    }),
    requireScope(edge, "signals:read"),
    async (c) => {
      const found = await findSignal(edge, c.var.caller, c.req.param("id"));
      if (!found.ok) return problemResponse(found);
      if (found.value.where === "records") {
        return progressFromRecords(edge, c.var.caller, found.value.id);
      }
      const progress = await readProgress(edge, found.value.stored);
      return progress.ok ? c.json(progress.value) : problemResponse(progress);
    },
  );
}

/** Accepts and answers; the dispatch goes its way beside the answer. */
export async function answerSignal(
  c: Context<EdgeHono>,
  edge: Edge,
  request: AcceptRequest,
): Promise<Response> {
  const accepted = await acceptSignal(edge, request);
  if (!accepted.ok) return problemResponse(accepted);
  c.executionCtx.waitUntil(dispatch(edge, accepted.value));
  const answer = acceptanceAnswer(accepted.value.acceptance);
  return c.json(answer, 202, { location: `/v1/signals/${answer.id}` });
}

const HEADER_FAULT: Fault = {
  path: "Idempotency-Key",
  message: "must be 1 to 255 visible ASCII characters without blanks",
};

export function idempotencyKeyOf(c: Context): Result<string | undefined> {
  const key = c.req.header("idempotency-key");
  if (key === undefined || v.is(visible(255), key)) return success(key);
  return failure("HEADER_INVALID", [HEADER_FAULT]);
}
