/**
 * Quotes as Redis keeps them. A desk partition has the newest quote of each
 * streamed symbol and the ticks of the last minutes, which contracts settle
 * on. Writing the same quotes again changes nothing, so several servers may
 * follow the same stream.
 */
import type { Quote } from "../../../domain/desk/quote.ts";
import type { DeskKeys } from "./keys.ts";
import { asInteger, type Script } from "../../../redis/script.ts";

/** Ticks are kept this much longer than the newest one of their symbol. */
export const TICKS_KEPT_MS = 10 * 60 * 1000;

/** Reads `priceMicros,sourceTimeMs`. */
export function parseStoredQuote(symbol: string, text: string): Quote | undefined {
  const match = /^(\d{1,16}),(\d{1,15})$/.exec(text);
  return match
    ? { symbol, priceMicros: Number(match[1]), sourceTimeMs: Number(match[2]) }
    : undefined;
}

export interface WriteDeskQuotesArgs {
  readonly desk: DeskKeys;
  readonly quotes: readonly Quote[];
}

const lua = `
local newer = 0
for i = 1, #ARGV, 3 do
  local symbol, price, time = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local ticks = KEYS[1 + (i + 2) / 3]
  local known = redis.call('HGET', KEYS[1], symbol)
  local newest = known and tonumber(string.match(known, ',(%d+)$')) or 0
  if tonumber(time) > newest then
    redis.call('HSET', KEYS[1], symbol, price .. ',' .. time)
    newest = tonumber(time)
    newer = newer + 1
  end
  redis.call('ZADD', ticks, time, time .. ',' .. price)
  redis.call('ZREMRANGEBYSCORE', ticks, '-inf', '(' .. string.format('%.0f', newest - ${TICKS_KEPT_MS}))
end
return newer
`;

/** Adds every tick; an older one never overwrites the newest. Replies how many were newer. */
export const writeDeskQuotes: Script<WriteDeskQuotesArgs, number> = {
  name: "write-desk-quotes",
  lua,
  keys: ({ desk, quotes }) => [desk.quotes, ...quotes.map(({ symbol }) => desk.ticks(symbol))],
  args: ({ quotes }) =>
    quotes.flatMap(({ symbol, priceMicros, sourceTimeMs }) => [
      symbol,
      String(priceMicros),
      String(sourceTimeMs),
    ]),
  reply: asInteger,
};
