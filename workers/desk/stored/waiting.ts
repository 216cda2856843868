/**
 * The waiting triggers of the desk: for each symbol the one that is met first. The search
 * jumps from symbol to symbol, and does not read the other triggers of a symbol.
 */
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, defineScript } from "../../../redis/script.ts";

/** Symbols in one call. */
const AT_ONCE = 500;

export type TriggerSide = "buy" | "sell";

export interface WaitingArgs {
  readonly partition: number;
  readonly side: TriggerSide;
  /** The last symbol of the call before. */
  readonly after?: string;
}

export interface Waiting {
  readonly symbol: string;
  /** The highest price of a symbol's buys, the lowest of its sells. */
  readonly priceCents: number;
}

export interface WaitingReply {
  readonly waiting: readonly Waiting[];
  /** There may be more: call again after the last of these. */
  readonly more: boolean;
}

/** Buys are searched from end to start, so that the first one found of a symbol is the highest. */
const lua = `
local found = {}
while #found < ${AT_ONCE} do
  local text
  if side == 'buy' then
    text = redis.call('ZREVRANGEBYLEX', triggers, after == '' and '+' or '(' .. after .. ' ', '-', 'LIMIT', 0, 1)[1]
  else
    text = redis.call('ZRANGEBYLEX', triggers, after == '' and '-' or '(' .. after .. ' ~', '+', 'LIMIT', 0, 1)[1]
  end
  if not text then break end
  local symbol, price = string.match(text, '^(%u+) (%d+) ')
  found[#found + 1] = {symbol, price}
  after = symbol
end
return found
`;

export const waitingTriggers = defineScript<WaitingArgs, WaitingReply>({
  name: "waiting-triggers",
  lua,
  keys: {
    triggers: ({ partition, side }) =>
      new DeskKeys(partition)[side === "buy" ? "buyTriggers" : "sellTriggers"],
  },
  args: {
    side: ({ side }) => side,
    after: ({ after = "" }) => after,
  },
  reply(raw) {
    const waiting = asList(raw).map((each) => {
      const [symbol, price] = asList(each);
      return { symbol: asText(symbol), priceCents: asInteger(price) };
    });
    return { waiting, more: waiting.length === AT_ONCE };
  },
});
