/**
 * Fires the triggers of one symbol that a quote meets, each once and under the
 * transaction that set it. Waiting triggers stand ordered by symbol and price,
 * so a quote looks at those that it meets and at no other.
 */
import type { Quote } from "../domain/quote.ts";
import { deskCallArgs, DESK_STATE_LUA, deskStateKeys, type DeskCall } from "./desk-state.ts";
import { asInteger, asList, asText, type Script } from "./script.ts";
import { DeskKeys } from "./keys.ts";

/** Triggers of each side a call. */
const FIRED_AT_ONCE = 200;

export interface FireArgs extends DeskCall {
  readonly symbol: string;
  readonly priceCents: number;
  readonly sourceTimeMs: Quote["sourceTimeMs"];
}

export type FireReply =
  /** `more`: as many again may be met; call again. */
  | { readonly kind: "fired"; readonly count: number; readonly more: boolean }
  | { readonly kind: "stale" };

const lua = `
${DESK_STATE_LUA}
local symbol, quote, time = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if quote <= 0 or at - time > quote_valid then return {-1, 0} end
local limit = ${FIRED_AT_ONCE}
local price = string.format('%s %013.0f', symbol, quote)
local met = {
  -- A buy waits for the quote to come down to its price, a sell for it to rise to it.
  {fire_buy, redis.call('ZRANGEBYLEX', KEYS[10], '[' .. price, '(' .. symbol .. ' ~', 'LIMIT', 0, limit)},
  {fire_sell, redis.call('ZREVRANGEBYLEX', KEYS[11], '(' .. price .. '~', '[' .. symbol .. ' ', 'LIMIT', 0, limit)},
}
local count, more = 0, 0
for _, side in ipairs(met) do
  local fire, triggers = side[1], side[2]
  local fired = 0
  for _, text in ipairs(triggers) do
    local user = string.match(text, '(%w+)$')
    if fire(user, symbol, position_of(user, symbol), quote) then fired = fired + 1 end
  end
  -- One that cannot fire yet must not be asked for ever.
  if fired > 0 and #triggers == limit then more = 1 end
  count = count + fired
end
finish()
return {count, more}
`;

export const fireTriggers: Script<FireArgs, FireReply> = {
  name: "fire-triggers",
  lua,
  keys: deskStateKeys,
  args: ({ symbol, priceCents, sourceTimeMs, ...call }) => [
    ...deskCallArgs(call),
    symbol,
    String(priceCents),
    String(sourceTimeMs),
  ],
  reply(raw) {
    const [count, more] = asList(raw).map(asInteger);
    if (count === undefined || count < 0) return { kind: "stale" };
    return { kind: "fired", count, more: more === 1 };
  },
};

export interface WaitingArgs {
  readonly partition: number;
}

const waitingLua = `
local found, known = {}, {}
for _, key in ipairs(KEYS) do
  local from = '-'
  while true do
    local text = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, 1)[1]
    if not text then break end
    local symbol = string.match(text, '^%u+')
    if not known[symbol] then known[symbol] = true found[#found + 1] = symbol end
    from = '(' .. symbol .. ' ~'
  end
end
return found
`;

/** The symbols that somebody waits for, each looked up by itself: what waits for it is not gone through. */
export const waitingSymbols: Script<WaitingArgs, readonly string[]> = {
  name: "waiting-symbols",
  lua: waitingLua,
  keys: ({ partition }) => {
    const desk = new DeskKeys(partition);
    return [desk.buyTriggers, desk.sellTriggers];
  },
  args: () => [],
  reply: (raw) => asList(raw).map(asText),
};
