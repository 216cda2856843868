/**
 * `GET /v1/quotes/:symbol`: a streamed symbol comes from the stream, any other from the
 * shared cache or its source. Every price says whether it is simulated. Without a fresh
 * quote the answer is an error without a price.
 */
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import * as v from "valibot";
import {
  ASKED_SYMBOL_PATTERN,
  STREAMED_QUOTE_VALID_MS,
  type Quote,
} from "../../../domain/desk/quote.ts";
import { SYMBOL_PATTERN } from "../../../domain/instrument.ts";
import { formatMicros } from "../../../domain/money.ts";
import { failure } from "../../../domain/result.ts";
import type { Bearer } from "../../../http/bearer.ts";
import { count } from "../../../http/field.ts";
import { reply, type Reply } from "../../../http/operation.ts";
import { Service } from "../../../http/service.ts";
import type { AskedQuote } from "./asked-quotes.ts";

const logger = getLogger(["fanfare", "quotes"]);

export interface QuotesApi {
  readonly streamed: readonly string[];
  /** The newest quotes of the stream. */
  readonly newest: ReadonlyMap<string, Quote>;
  readonly asked: { quoteOf(symbol: string): Promise<AskedQuote> };
  /** No request waits longer than this, even while Redis does not answer. */
  readonly timeoutMs: number;
  readonly simulated: boolean;
  readonly now: () => number;
}

const Health = v.object({ status: v.picklist(["ok", "stale"]), stale: v.array(v.string()) });

export function serveQuotes(
  api: QuotesApi,
  at: { readonly hostname: string; readonly port: number },
): { stop(): Promise<void> } {
  return Bun.serve({ ...at, fetch: quotesApp(api).fetch });
}

export function quotesApp(api: QuotesApi): Hono {
  const service = new Service<Bearer>({
    info: { title: "Fanfare quotes", version: "1" },
    // No operation requires a token.
    verify: () => failure("TOKEN_INVALID"),
    onFailure(code, { name, at }) {
      logger.error("a request failed as {code}: {error} at {at}", { code, error: name, at });
    },
  });
  service.app.use(async (c, next) => {
    await next();
    c.res.headers.set("cache-control", "no-store");
  });

  service.serve({
    method: "GET",
    path: "/v1/quotes/:symbol",
    operationId: "readQuote",
    summary: "What a symbol costs now",
    description: "`simulated` says whether the price is, and is to be shown beside it.",
    params: { symbol: { pattern: SYMBOL_PATTERN, unknown: "SYMBOL_UNKNOWN" } },
    answers: {
      200: {
        description: "A fresh quote.",
        body: v.object({
          symbol: v.string(),
          price: v.string(),
          priceMicros: count,
          sourceTime: count,
          simulated: v.boolean(),
        }),
      },
    },
    problems: ["QUOTE_UNAVAILABLE"],
    handle: ({ params: { symbol } }) => answer(api, symbol),
  });

  const health = { description: "Whether each streamed symbol has a fresh quote.", body: Health };
  service.serve({
    method: "GET",
    path: "/healthz",
    operationId: "readQuotesHealth",
    summary: "Whether the stream is fresh",
    answers: { 200: health, 503: health },
    problems: [],
    handle() {
      const stale = api.streamed.filter((symbol) => !freshQuote(api, symbol));
      return stale.length === 0
        ? reply({ status: "ok", stale })
        : reply({ status: "stale", stale }, { status: 503 });
    },
  });

  service.serve({
    method: "GET",
    path: "/openapi.json",
    operationId: "readQuotesDocument",
    summary: "This document",
    answers: {
      200: { description: "OpenAPI 3.1.", body: v.looseObject({ openapi: v.string() }) },
    },
    problems: [],
    handle: () => reply(service.document()),
  });
  service.refuseOtherMethods();
  return service.app;
}

async function answer(api: QuotesApi, symbol: string): Promise<Reply> {
  if (api.streamed.includes(symbol)) {
    const quote = freshQuote(api, symbol);
    return quote ? show(api, quote) : failure("QUOTE_UNAVAILABLE");
  }
  if (!ASKED_SYMBOL_PATTERN.test(symbol)) return failure("SYMBOL_UNKNOWN");
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, api.timeoutMs);
  const asked = await Promise.race([api.asked.quoteOf(symbol), late]);
  clearTimeout(timer);
  return asked?.kind === "quoted" ? show(api, asked.quote) : failure("QUOTE_UNAVAILABLE");
}

function freshQuote({ newest, now }: QuotesApi, symbol: string): Quote | undefined {
  const quote = newest.get(symbol);
  return quote && now() - quote.sourceTimeMs <= STREAMED_QUOTE_VALID_MS ? quote : undefined;
}

function show({ simulated }: QuotesApi, quote: Quote): Reply {
  const { symbol, priceMicros, sourceTimeMs } = quote;
  const price = formatMicros(priceMicros);
  return reply({ symbol, price, priceMicros, sourceTime: sourceTimeMs, simulated });
}
