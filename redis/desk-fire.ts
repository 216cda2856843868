/**
 * Fires the triggers of one symbol that a quote meets, each once and under the
 * transaction that set it. Waiting triggers stand ordered by symbol and price,
 * so a quote looks at those that it meets and at no other.
 */
import type { Quote } from "../domain/quote.ts";
import { deskCallArgs, DESK_STATE_LUA, deskStateKeys, type DeskCall } from "./desk-state.ts";
import { asInteger, asList, asText, type Script } from "./script.ts";

/** Triggers of each side a call. */
const FIRED_AT_ONCE = 200;

/** The last trigger of each side that a call looked at: empty before the first, `-` when there are no more. */
export interface FireCursor {
  readonly buys: string;
  readonly sells: string;
}

export interface FireArgs extends DeskCall {
  readonly symbol: string;
  readonly priceCents: number;
  readonly sourceTimeMs: Quote["sourceTimeMs"];
  /** How old the quote may be. */
  readonly validMs: number;
  readonly after?: FireCursor;
}

export type FireReply =
  /** `next`: more may be met; call again from there. */
  | { readonly kind: "fired"; readonly count: number; readonly next?: FireCursor }
  | { readonly kind: "stale" };

const lua = `
${DESK_STATE_LUA}
local symbol, quote, time, valid = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if quote <= 0 or at - time > valid then return {-1, '', ''} end
local limit = ${FIRED_AT_ONCE}
local price = string.format('%s %013.0f', symbol, quote)
-- One that cannot fire now, as it would burst its account, is passed by: those behind it are not kept waiting.
local function met(key, command, after, first, last)
  if after == '-' then return {} end
  return redis.call(command, key, after == '' and first or '(' .. after, last, 'LIMIT', 0, limit)
end
-- A buy waits for the quote to come down to its price, a sell for it to rise to it.
local sides = {
  {fire_buy, met(KEYS[10], 'ZRANGEBYLEX', ARGV[8], '[' .. price, '(' .. symbol .. ' ~')},
  {fire_sell, met(KEYS[11], 'ZREVRANGEBYLEX', ARGV[9], '(' .. price .. '~', '[' .. symbol .. ' ')},
}
local reply = {0}
for i, side in ipairs(sides) do
  local fire, triggers = side[1], side[2]
  for _, text in ipairs(triggers) do
    local user = string.match(text, '(%w+)$')
    if fire(user, symbol, position_of(user, symbol), quote) then reply[1] = reply[1] + 1 end
  end
  reply[i + 1] = #triggers == limit and triggers[limit] or '-'
end
finish()
return reply
`;

export const fireTriggers: Script<FireArgs, FireReply> = {
  name: "fire-triggers",
  lua,
  keys: deskStateKeys,
  args: ({ symbol, priceCents, sourceTimeMs, validMs, after, ...call }) => [
    ...deskCallArgs(call),
    symbol,
    String(priceCents),
    String(sourceTimeMs),
    String(validMs),
    after?.buys ?? "",
    after?.sells ?? "",
  ],
  reply(raw) {
    const [fired, buys, sells] = asList(raw);
    const count = asInteger(fired);
    if (count < 0) return { kind: "stale" };
    const next = { buys: asText(buys), sells: asText(sells) };
    return { kind: "fired", count, ...(next.buys === "-" && next.sells === "-" ? {} : { next }) };
  },
};
