/**
 * `GET /v1/quotes/:symbol`: a streamed symbol from the stream, any other from
 * the shared cache or its source. A price is never shown without saying whether
 * it is simulated; without a fresh quote there is an error and no price.
 */
import { problemOf, type ErrorCode } from "../../../domain/error-codes.ts";
import { formatMicros } from "../../../domain/money.ts";
import {
  ASKED_SYMBOL_PATTERN,
  STREAMED_QUOTE_VALID_MS,
  type Quote,
} from "../../../domain/desk/quote.ts";
import type { AskedQuote } from "./asked-quotes.ts";

export interface QuotesApi {
  readonly streamed: readonly string[];
  /** The newest quotes of the stream. */
  readonly newest: ReadonlyMap<string, Quote>;
  readonly asked: { quoteOf(symbol: string): Promise<AskedQuote> };
  /** No request waits longer than this, also while Redis does not answer. */
  readonly timeoutMs: number;
  readonly simulated: boolean;
  readonly now: () => number;
}

export function serveQuotes(
  api: QuotesApi,
  at: { readonly hostname: string; readonly port: number },
): { stop(): Promise<void> } {
  return Bun.serve({
    ...at,
    routes: {
      "/v1/quotes/:symbol": {
        GET: (request) => answer(api, request.params.symbol),
      },
      "/healthz": {
        GET: () => health(api),
      },
    },
    fetch: (request) => problem(request.method === "GET" ? "ROUTE_UNKNOWN" : "METHOD_NOT_ALLOWED"),
    error: () => problem("INTERNAL"),
  });
}

async function answer(api: QuotesApi, symbol: string): Promise<Response> {
  if (api.streamed.includes(symbol)) {
    const quote = freshQuote(api, symbol);
    return quote ? show(api, quote) : problem("QUOTE_UNAVAILABLE");
  }
  if (!ASKED_SYMBOL_PATTERN.test(symbol)) return problem("SYMBOL_UNKNOWN");
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, api.timeoutMs);
  const asked = await Promise.race([api.asked.quoteOf(symbol), late]);
  clearTimeout(timer);
  return asked?.kind === "quoted" ? show(api, asked.quote) : problem("QUOTE_UNAVAILABLE");
}

function freshQuote({ newest, now }: QuotesApi, symbol: string): Quote | undefined {
  const quote = newest.get(symbol);
  return quote && now() - quote.sourceTimeMs <= STREAMED_QUOTE_VALID_MS ? quote : undefined;
}

function show({ simulated }: QuotesApi, quote: Quote): Response {
  const { symbol, priceMicros, sourceTimeMs } = quote;
  return Response.json(
    {
      symbol,
      price: formatMicros(priceMicros),
      priceMicros,
      sourceTime: sourceTimeMs,
      simulated,
    },
    { headers: { "cache-control": "no-store" } },
  );
}

function health(api: QuotesApi): Response {
  const stale = api.streamed.filter((symbol) => !freshQuote(api, symbol));
  const status = stale.length === 0 ? "ok" : "stale";
  return Response.json({ status, stale }, { status: stale.length === 0 ? 200 : 503 });
}

function problem(code: ErrorCode): Response {
  const document = problemOf(code);
  return new Response(JSON.stringify(document), {
    status: document.status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
  });
}
