/**
 * Quotes, as Redis stores them. A desk partition has the newest quote of each streamed
 * symbol, and the ticks of the last minutes, at which contracts settle. Writing the same
 * quotes again changes nothing, so several servers may follow the same stream.
 */
import type { Quote } from "../../../domain/desk/quote.ts";
import type { DeskKeys } from "./keys.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";

/** How much older a tick may be than the newest one of its symbol before it is removed. */
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
local newer, row = 0, -1
for symbol, price, time in rows() do
  row = row + 1
  local ticks = KEYS[rest_keys + row]
  local known = redis.call('HGET', quotes, symbol)
  local newest = known and tonumber(string.match(known, ',(%d+)$')) or 0
  if tonumber(time) > newest then
    redis.call('HSET', quotes, symbol, price .. ',' .. time)
    newest = tonumber(time)
    newer = newer + 1
  end
  redis.call('ZADD', ticks, time, time .. ',' .. price)
  redis.call('ZREMRANGEBYSCORE', ticks, '-inf', '(' .. string.format('%.0f', newest - ${TICKS_KEPT_MS}))
end
return newer
`;

/** Adds every tick. An older one never overwrites the newest. Returns how many were newer. */
export const writeDeskQuotes = defineScript<WriteDeskQuotesArgs, number>({
  name: "write-desk-quotes",
  lua,
  keys: { quotes: ({ desk }) => desk.quotes },
  restKeys: ({ desk, quotes }) => quotes.map(({ symbol }) => desk.ticks(symbol)),
  rest: ({ quotes }) =>
    quotes.flatMap(({ symbol, priceMicros, sourceTimeMs }) => [symbol, priceMicros, sourceTimeMs]),
  columns: ["symbol", "priceMicros", "sourceTimeMs"],
  reply: asInteger,
});
