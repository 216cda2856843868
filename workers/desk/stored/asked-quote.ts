/**
 * The shared cache of asked quotes: a quote stands in Redis for exactly as
 * long as it is valid, by the clock of that Redis, and whoever asks the source
 * holds a lease, so that a quote is paid for once.
 */
import { ASKED_QUOTE_VALID_MS, type Quote } from "../../../domain/desk/quote.ts";
import { parseStoredQuote } from "./quotes.ts";
import { askedQuoteKey, askingKey } from "./keys.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface TakeQuoteArgs {
  readonly symbol: string;
  readonly token: string;
  /** The lease ends by itself after this, should its holder die. */
  readonly leaseMs: number;
}

export type TakeQuoteReply =
  | { readonly kind: "cached"; readonly quote: Quote }
  /** The caller holds the lease: it asks the source, then stores the answer or gives the lease back. */
  | { readonly kind: "ask" }
  /** Somebody else is asking. */
  | { readonly kind: "wait" };

const takeLua = `
local cached = redis.call('GET', KEYS[1])
if cached then return {'cached', ARGV[3], cached} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'ask'} end
return {'wait'}
`;

export const takeQuote: Script<TakeQuoteArgs, TakeQuoteReply> = {
  name: "take-quote",
  lua: takeLua,
  keys: ({ symbol }) => [askedQuoteKey(symbol), askingKey(symbol)],
  args: ({ symbol, token, leaseMs }) => [token, String(leaseMs), symbol],
  reply(raw) {
    const [kind, ...stored] = asList(raw);
    if (kind === "ask" || kind === "wait") return { kind };
    return { kind: "cached", quote: storedQuote(stored) };
  },
};

export interface StoreQuoteArgs {
  readonly quote: Quote;
  readonly token: string;
}

const storeLua = `
${LUA_NOW}
local symbol, price, now = ARGV[2], ARGV[3], now_ms()
local time = math.min(tonumber(ARGV[4]), now)
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
local cached = redis.call('GET', KEYS[1])
if cached and tonumber(string.match(cached, ',(%d+)$')) >= time then return {symbol, cached} end
local left = time + ${ASKED_QUOTE_VALID_MS} - now
if left <= 0 then return {} end
local stored = string.format('%s,%.0f', price, time)
redis.call('SET', KEYS[1], stored, 'PX', string.format('%.0f', left))
return {symbol, stored}
`;

/**
 * Keeps an answer for as long as it is valid, a time in the future counting as
 * now, and ends the lease. Replies the quote that now stands, which is a newer
 * one if there was one, or nothing if the answer was stale already.
 */
export const storeQuote: Script<StoreQuoteArgs, Quote | undefined> = {
  name: "store-quote",
  lua: storeLua,
  keys: ({ quote }) => [askedQuoteKey(quote.symbol), askingKey(quote.symbol)],
  args: ({ quote, token }) => [
    token,
    quote.symbol,
    String(quote.priceMicros),
    String(quote.sourceTimeMs),
  ],
  reply(raw) {
    const stored = asList(raw);
    return stored.length === 0 ? undefined : storedQuote(stored);
  },
};

/** Gives the lease back without an answer, if it is still the caller's. */
export const releaseAsking: Script<Omit<TakeQuoteArgs, "leaseMs">, boolean> = {
  name: "release-asking",
  lua: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`,
  keys: ({ symbol }) => [askingKey(symbol)],
  args: ({ token }) => [token],
  reply: (raw) => asInteger(raw) === 1,
};

function storedQuote([symbol, text]: readonly unknown[]): Quote {
  const quote = parseStoredQuote(asText(symbol), asText(text));
  if (!quote) throw new TypeError("the cache holds something that is not a quote");
  return quote;
}
