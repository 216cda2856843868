/** What a day trader reads: the summary of the account, a quote, and the audit, as JSON in pages or as the XML log. */
import * as v from "valibot";
import { formatDeskLine, type DeskCommandName } from "../../domain/desk/command.ts";
import type { ErrorCode } from "../../domain/error-codes.ts";
import { ASKED_QUOTE_VALID_MS } from "../../domain/desk/quote.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { matching } from "../../http/field.ts";
import { reply } from "../../http/operation.ts";
import type { Edge, EdgeService } from "../edge.ts";
import type { Caller } from "../tokens.ts";
import { readFromDesk } from "./read.ts";
import { replyTo, type DeskReply, type Sender } from "./relay.ts";
import { EventsAnswer, QuoteAnswer, SummaryAnswer } from "./schemas.ts";
import { SENDER_PROBLEMS, identifySender, USER, userAskedFor } from "./sender.ts";

const PROBLEMS = ["DESK_USER_UNKNOWN", ...SENDER_PROBLEMS] as const;
const OF_USER = v.strictObject({ user: USER });
const SYMBOL = { pattern: /^[A-Z]{1,3}$/, unknown: "SYMBOL_UNKNOWN" } as const;
const EVENTS_CURSOR = matching(/^(\d{1,15}-\d{1,9})?$/, "must be the `next` of a page");

export function serveDeskAccount(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/summary",
    operationId: "readDeskSummary",
    summary: "A desk account: money, holdings, pending orders, triggers, the last changes",
    permission: "desk:trade",
    query: OF_USER,
    answers: { 200: { description: "The current account.", body: SummaryAnswer } },
    problems: [...PROBLEMS, "DESK_LINES_LIMITED"],
    async handle(call) {
      const said = await ask(call, edge, "DISPLAY_SUMMARY");
      if (!said.ok) return said;
      return reply({ user: said.value.user, ...said.value.reply, nowMs: edge.clock() });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/desk/quotes/:symbol",
    operationId: "readDeskQuote",
    summary: "What a symbol costs at the desk",
    description: "`prices` says whether the quote is simulated; show it beside the price.",
    permission: "desk:trade",
    params: { symbol: SYMBOL },
    query: OF_USER,
    answers: { 200: { description: "A valid quote.", body: QuoteAnswer } },
    problems: [...PROBLEMS, "DESK_LINES_LIMITED", "QUOTE_UNAVAILABLE"],
    async handle(call) {
      const said = await ask(call, edge, "QUOTE", call.params.symbol);
      if (!said.ok) return said;
      const { symbol, priceCents, quoteTimeMs, prices } = said.value.reply;
      const validUntilMs = Number(quoteTimeMs) + ASKED_QUOTE_VALID_MS;
      return reply({ symbol, priceCents, quoteTimeMs, validUntilMs, prices });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/desk/events",
    operationId: "listDeskEvents",
    summary: "The audit of a desk account, page by page, oldest first",
    permission: "desk:trade",
    query: v.strictObject({ user: USER, after: v.optional(EVENTS_CURSOR, "") }),
    answers: { 200: { description: "A page.", body: EventsAnswer } },
    problems: SENDER_PROBLEMS,
    async handle(call) {
      const asked = whose(call, edge);
      if (!asked.ok) return asked;
      const { user, sender } = asked.value;
      return await readFromDesk(sender, `/v1/desk/events?user=${user}&after=${call.query.after}`);
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/desk/log",
    operationId: "readDeskLog",
    summary: "The audit log as XML, of one user or, for an administrator, of all",
    permission: "desk:trade",
    query: OF_USER,
    answers: {
      200: { description: "The log, of any length.", content: { "application/xml": v.string() } },
    },
    problems: SENDER_PROBLEMS,
    async handle(call) {
      const { query, caller } = call;
      const sender = identifySender(call, edge);
      if (!sender.ok) return sender;
      // An administrator who names no user means all users, even if they have a desk user
      // themselves.
      const isOfAll = sender.value.user === "" && query.user === undefined;
      const user = isOfAll ? success("") : userAskedFor(query.user, caller, sender.value);
      if (!user.ok) return user;
      const name = user.value === "" ? "desk-log.xml" : `desk-log-${user.value}.xml`;
      const disposition = { "content-disposition": `attachment; filename="${name}"` };
      return await readFromDesk(sender.value, `/v1/desk/log?user=${user.value}`, disposition);
    },
  });
}

/** A call about one user. */
interface UserCall {
  readonly caller: Caller;
  readonly query: { readonly user?: string | undefined };
  readonly later: Sender["later"];
}

/** The user that the request is about; exactly one is required. */
function whose(
  call: UserCall,
  edge: Edge,
): Result<{ readonly user: string; readonly sender: Sender }> {
  const sender = identifySender(call, edge);
  if (!sender.ok) return sender;
  const user = userAskedFor(call.query.user, call.caller, sender.value);
  if (!user.ok) return user;
  return user.value === ""
    ? failure("QUERY_INVALID", [{ path: "user", message: "is required" }])
    : success({ user: user.value, sender: sender.value });
}

interface Said {
  readonly user: string;
  /** The reply without its `ok` and transaction fields. */
  readonly reply: Readonly<Record<string, unknown>>;
}

/** Sends a command that changes nothing, so that it may be repeated. */
async function ask(
  call: UserCall,
  edge: Edge,
  name: DeskCommandName,
  symbol = "",
): Promise<Result<Said>> {
  const asked = whose(call, edge);
  if (!asked.ok) return asked;
  const { user, sender } = asked.value;
  const line = formatDeskLine(null, { name, user, symbol, cents: 0, file: "" });
  const { n: _n, transaction: _transaction, ok, ...reply } = await replyTo(sender, line);
  return ok ? success({ user, reply }) : failure(toErrorCode(reply.code));
}

function toErrorCode(refusal: DeskReply["code"]): ErrorCode {
  if (refusal === "USER_UNKNOWN") return "DESK_USER_UNKNOWN";
  if (refusal === "LINES_TOO_MANY") return "DESK_LINES_LIMITED";
  return refusal === "QUOTE_UNAVAILABLE" ? "QUOTE_UNAVAILABLE" : "DESK_UNAVAILABLE";
}
