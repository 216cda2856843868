/**
 * The shared cache of asked quotes. A quote is in Redis exactly as long as it is valid, by
 * the clock of that Redis. The server that asks the source has a lease, so a quote is paid
 * for once.
 */
import { ASKED_QUOTE_VALID_MS, type Quote } from "../../../domain/desk/quote.ts";
import { parseStoredQuote } from "./quotes.ts";
import { askedQuoteKey, askingKey } from "./keys.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface TakeQuoteArgs {
  readonly symbol: string;
  readonly token: string;
  /** The lease expires after this, if its holder dies. */
  readonly leaseMs: number;
}

export type TakeQuoteReply =
  | { readonly kind: "cached"; readonly quote: Quote }
  /** The caller has the lease: it asks the source, then stores the answer or returns the lease. */
  | { readonly kind: "ask" }
  /** Another server is asking. */
  | { readonly kind: "wait" };

const takeLua = `
local cached = redis.call('GET', asked)
if cached then return {'cached', cached} end
if redis.call('SET', asking, token, 'NX', 'PX', lease_ms) then return {'ask'} end
return {'wait'}
`;

/** For one symbol: the quote, and the server that is asking for it. */
const QUOTE_KEYS = {
  asked: ({ symbol }: Pick<Quote, "symbol">) => askedQuoteKey(symbol),
  asking: ({ symbol }: Pick<Quote, "symbol">) => askingKey(symbol),
};

export const takeQuote = defineScript<TakeQuoteArgs, TakeQuoteReply>({
  name: "take-quote",
  lua: takeLua,
  keys: QUOTE_KEYS,
  args: {
    token: ({ token }) => token,
    lease_ms: ({ leaseMs }) => leaseMs,
  },
  reply(raw, { symbol }) {
    const [kind, text] = asList(raw);
    if (kind === "ask" || kind === "wait") return { kind };
    return { kind: "cached", quote: storedQuote(symbol, text) };
  },
});

export interface StoreQuoteArgs {
  readonly quote: Quote;
  readonly token: string;
}

const storeLua = `
${LUA_NOW}
local now = now_ms()
local time = math.min(tonumber(source_time), now)
if redis.call('GET', asking) == token then redis.call('DEL', asking) end
local cached = redis.call('GET', asked)
if cached and tonumber(string.match(cached, ',(%d+)$')) >= time then return cached end
local left = time + ${ASKED_QUOTE_VALID_MS} - now
if left <= 0 then return '' end
local stored = string.format('%s,%.0f', price, time)
redis.call('SET', asked, stored, 'PX', string.format('%.0f', left))
return stored
`;

/**
 * Stores an answer for as long as it is valid, and ends the lease. A time in the future
 * counts as now. Returns the quote that is now stored (a newer one if there was one), or
 * nothing if the answer was already stale.
 */
export const storeQuote = defineScript<StoreQuoteArgs, Quote | undefined>({
  name: "store-quote",
  lua: storeLua,
  keys: {
    asked: ({ quote }) => askedQuoteKey(quote.symbol),
    asking: ({ quote }) => askingKey(quote.symbol),
  },
  args: {
    token: ({ token }) => token,
    price: ({ quote }) => quote.priceMicros,
    source_time: ({ quote }) => quote.sourceTimeMs,
  },
  reply: (raw, { quote }) => (raw === "" ? undefined : storedQuote(quote.symbol, raw)),
});

/** Returns the lease without an answer, if the caller still has it. */
export const releaseAsking = defineScript<Omit<TakeQuoteArgs, "leaseMs">, boolean>({
  name: "release-asking",
  lua: `
if redis.call('GET', asking) ~= token then return 0 end
return redis.call('DEL', asking)
`,
  keys: QUOTE_KEYS,
  args: { token: ({ token }) => token },
  reply: (raw) => asInteger(raw) === 1,
});

function storedQuote(symbol: string, text: unknown): Quote {
  const quote = parseStoredQuote(symbol, asText(text));
  if (!quote) throw new TypeError("the cache holds something that is not a quote");
  return quote;
}
