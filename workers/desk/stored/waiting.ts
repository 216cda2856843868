/**
 * What waits at the desk: of each symbol the trigger that is met first. A symbol
 * is looked up by itself; what else waits for it is not gone through.
 */
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, type Script } from "../../../redis/script.ts";

/** Symbols a call. */
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

/** From end to start for buys, so that the first of a symbol that is come upon is the highest. */
const lua = `
local found, after = {}, ARGV[2]
while #found < ${AT_ONCE} do
  local text
  if ARGV[1] == 'buy' then
    text = redis.call('ZREVRANGEBYLEX', KEYS[1], after == '' and '+' or '(' .. after .. ' ', '-', 'LIMIT', 0, 1)[1]
  else
    text = redis.call('ZRANGEBYLEX', KEYS[1], after == '' and '-' or '(' .. after .. ' ~', '+', 'LIMIT', 0, 1)[1]
  end
  if not text then break end
  local symbol, price = string.match(text, '^(%u+) (%d+) ')
  found[#found + 1] = {symbol, price}
  after = symbol
end
return found
`;

export const waitingTriggers: Script<WaitingArgs, WaitingReply> = {
  name: "waiting-triggers",
  lua,
  keys: ({ partition, side }) => {
    const desk = new DeskKeys(partition);
    return [side === "buy" ? desk.buyTriggers : desk.sellTriggers];
  },
  args: ({ side, after = "" }) => [side, after],
  reply(raw) {
    const waiting = asList(raw).map((each) => {
      const [symbol, price] = asList(each);
      return { symbol: asText(symbol), priceCents: asInteger(price) };
    });
    return { waiting, more: waiting.length === AT_ONCE };
  },
};
