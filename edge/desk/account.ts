/** What a day trader reads: the summary of the account, a quote, and the audit, as JSON in pages or as the XML log. */
import type { Context } from "hono";
import { formatDeskLine, type DeskCommandName } from "../../domain/desk/command.ts";
import type { ErrorCode } from "../../domain/error-codes.ts";
import { ASKED_QUOTE_VALID_MS } from "../../domain/desk/quote.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { requireScope } from "../bearer.ts";
import type { Edge, EdgeApp, EdgeHono } from "../edge.ts";
import { describe, jsonOf, type Parameter } from "../openapi.ts";
import { problemResponse } from "../problems.ts";
import { readFromDesk } from "./read.ts";
import { replyTo, type DeskReply, type Sender } from "./relay.ts";
import { EventsAnswer, QuoteAnswer, SummaryAnswer } from "./schemas.ts";
import { SENDER_PROBLEMS, senderOf, USER_QUERY, userAskedFor } from "./sender.ts";

const PROBLEMS = ["QUERY_INVALID", "DESK_USER_UNKNOWN", ...SENDER_PROBLEMS] as const;
const SYMBOL: Parameter = {
  name: "symbol",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^[A-Z]{1,3}$" },
};
const AFTER: Parameter = {
  name: "after",
  in: "query",
  required: false,
  description: "The `next` of the page before.",
  schema: { type: "string", pattern: "^\\d{1,15}-\\d{1,9}$" },
};

export function serveDeskAccount(app: EdgeApp, edge: Edge): void {
  app.get(
    "/v1/desk/summary",
    describe({
      operationId: "readDeskSummary",
      summary: "A desk account: money, holdings, pending orders, triggers, the last changes",
      scope: "desk:trade",
      parameters: [USER_QUERY],
      responses: { "200": { description: "As of now.", content: jsonOf(SummaryAnswer) } },
      problems: PROBLEMS,
    }),
    requireScope(edge, "desk:trade"),
    async (c) => {
      const said = await ask(c, edge, "DISPLAY_SUMMARY");
      if (!said.ok) return problemResponse(said);
      const { reply, user } = said.value;
      return c.json({ user, ...reply, nowMs: edge.clock() });
    },
  );

  app.get(
    "/v1/desk/quotes/:symbol",
    describe({
      operationId: "readDeskQuote",
      summary: "What a symbol costs at the desk",
      description: "`prices` says whether it is simulated, and is to be shown beside it.",
      scope: "desk:trade",
      parameters: [SYMBOL, USER_QUERY],
      responses: { "200": { description: "A valid quote.", content: jsonOf(QuoteAnswer) } },
      problems: [...PROBLEMS, "SYMBOL_UNKNOWN", "QUOTE_UNAVAILABLE"],
    }),
    requireScope(edge, "desk:trade"),
    async (c) => {
      const said = await ask(c, edge, "QUOTE", c.req.param("symbol"));
      if (!said.ok) return problemResponse(said);
      const { symbol, priceCents, quoteTimeMs, prices } = said.value.reply;
      const validUntilMs = Number(quoteTimeMs) + ASKED_QUOTE_VALID_MS;
      return c.json({ symbol, priceCents, quoteTimeMs, validUntilMs, prices });
    },
  );

  app.get(
    "/v1/desk/events",
    describe({
      operationId: "listDeskEvents",
      summary: "The audit of a desk account, oldest first, a page at a time",
      scope: "desk:trade",
      parameters: [USER_QUERY, AFTER],
      responses: { "200": { description: "A page.", content: jsonOf(EventsAnswer) } },
      problems: ["QUERY_INVALID", ...SENDER_PROBLEMS],
    }),
    requireScope(edge, "desk:trade"),
    async (c) => {
      const asked = whose(c, edge);
      if (!asked.ok) return problemResponse(asked);
      const after = c.req.query("after") ?? "";
      if (after !== "" && !new RegExp(String(AFTER.schema["pattern"])).test(after)) {
        return problemResponse(failure("QUERY_INVALID", [{ path: "after", message: NO_PAGE }]));
      }
      const { user, sender } = asked.value;
      return await readFromDesk(sender, `/v1/desk/events?user=${user}&after=${after}`);
    },
  );

  app.get(
    "/v1/desk/log",
    describe({
      operationId: "readDeskLog",
      summary: "The audit log as XML, of one user or, for an administrator, of all",
      scope: "desk:trade",
      parameters: [USER_QUERY],
      responses: {
        "200": {
          description: "The log, however long.",
          content: { "application/xml": { schema: { type: "string" } } },
        },
      },
      problems: ["QUERY_INVALID", ...SENDER_PROBLEMS],
    }),
    requireScope(edge, "desk:trade"),
    async (c) => {
      const sender = senderOf(c, edge);
      if (!sender.ok) return problemResponse(sender);
      // Where nobody is named an administrator means all, whatever they are called themselves.
      const isOfAll = sender.value.user === "" && c.req.query("user") === undefined;
      const user = isOfAll ? success("") : userAskedFor(c, sender.value);
      if (!user.ok) return problemResponse(user);
      const name = user.value === "" ? "desk-log.xml" : `desk-log-${user.value}.xml`;
      const disposition = { "content-disposition": `attachment; filename="${name}"` };
      return await readFromDesk(sender.value, `/v1/desk/log?user=${user.value}`, disposition);
    },
  );
}

const NO_PAGE = "must be the `next` of a page";

/** The user that is meant, who must be one. */
function whose(
  c: Context<EdgeHono>,
  edge: Edge,
): Result<{ readonly user: string; readonly sender: Sender }> {
  const sender = senderOf(c, edge);
  if (!sender.ok) return sender;
  const user = userAskedFor(c, sender.value);
  if (!user.ok) return user;
  return user.value === ""
    ? failure("QUERY_INVALID", [{ path: "user", message: "is required" }])
    : success({ user: user.value, sender: sender.value });
}

interface Said {
  readonly user: string;
  /** What the reply says beside whether it is one. */
  readonly reply: Readonly<Record<string, unknown>>;
}

/** Puts a command that changes nothing, as the reading of it may be repeated. */
async function ask(
  c: Context<EdgeHono>,
  edge: Edge,
  name: DeskCommandName,
  symbol = "",
): Promise<Result<Said>> {
  if (name === "QUOTE" && !/^[A-Z]{1,3}$/.test(symbol)) return failure("SYMBOL_UNKNOWN");
  const asked = whose(c, edge);
  if (!asked.ok) return asked;
  const { user, sender } = asked.value;
  const line = formatDeskLine(null, { name, user, symbol, cents: 0, file: "" });
  const { n: _n, transaction: _transaction, ok, ...reply } = await replyTo(sender, line);
  return ok ? success({ user, reply }) : failure(codeOf(reply.code));
}

function codeOf(refusal: DeskReply["code"]): ErrorCode {
  if (refusal === "USER_UNKNOWN") return "DESK_USER_UNKNOWN";
  return refusal === "QUOTE_UNAVAILABLE" ? "QUOTE_UNAVAILABLE" : "DESK_UNAVAILABLE";
}
