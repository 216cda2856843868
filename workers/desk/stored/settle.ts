/**
 * Settling: contracts that were opened together settle together, at the first quote whose
 * source time is at or after their expiry. A call wins if the price has risen, a put if it
 * has fallen; if it is equal, both lose. A win returns the stake and the payout, rounded
 * down. The rule is this script (ADR 24).
 */
import type { SettlementKind } from "../../../domain/products/binary.ts";
import type { AccountId, ClientOrderId } from "../../../domain/ids.ts";
import { BOOKS_KEPT_MS } from "./books.ts";
import { AUDIT_ARGS, AUDIT_KEYS, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { DeskKeys, deskKeys } from "./keys.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

/** From `docs/DESK.md`: without a quote within this time after the expiry, a contract is void. */
export const VOID_AFTER_MS = 60_000;

/** A member of `DeskKeys.expiries`: what one call opened. */
interface BatchName {
  /** Its field in the bucket's hash. */
  readonly field: string;
  readonly bucket: string;
  readonly symbol: string;
}

function parseBatchName(name: string): BatchName {
  const [field = "", bucket = "", symbol = ""] = name.split(" ");
  return { field, bucket, symbol };
}

export interface SettleArgs extends DeskCall {
  /** A member of `DeskKeys.expiries`. */
  readonly name: string;
}

const settleLua = `
${LUA_NOW}
${AUDIT_MANY_LUA}
local now = now_ms()
local expires = tonumber(redis.call('ZSCORE', expiries, name))
if not expires or now < expires then return 0 end
-- Of several quotes at one time, none is more correct. Every server takes the first by its text.
local tick = redis.call('ZRANGEBYSCORE', ticks, string.format('%d', expires), string.format('%d', expires + ${VOID_AFTER_MS}), 'LIMIT', 0, 1)[1]
if not tick and now < expires + ${VOID_AFTER_MS} then return -1 end
local close = tick and tonumber(string.match(tick, ',(%d+)$'))

local settled = {}
local contract, payout, open, rest =
  string.match(redis.call('HGET', contracts, field) or '', '^open,(%a+),(%d+),(%d+),(.*)$')
if contract then
  local kind, returns, rows = 'void', {}, {}
  if close then
    local won
    if contract == 'CALL' then won = close > tonumber(open) else won = close < tonumber(open) end
    kind = won and 'won' or 'lost'
  end
  for order, account, cents in string.gmatch(string.match(rest, '|(.*)$'), '([^,]*),([^,]*),(%d+);') do
    local stake, returned = tonumber(cents), 0
    if kind == 'void' then returned = stake
    elseif kind == 'won' then
      -- The product is computed in two parts, so that it is exact for every amount.
      returned = stake + math.floor(stake / 10000) * payout + math.floor((stake % 10000) * payout / 10000)
    end
    if returned > 0 then
      returns[account] = (returns[account] or 0) + returned
      rows[#rows + 1] = string.format('%s,%s,%d;', order, account, returned)
    end
    settled[#settled + 1] = {order == '' and bucket or bucket .. '.' .. order, account, kind, returned}
  end
  local text = kind .. ',' .. contract .. ',' .. payout .. ',' .. open .. ',' .. rest
  redis.call('HSET', contracts, field, text)
  local changed = {}
  for account, cents in pairs(returns) do
    local balance = redis.call('HINCRBY', balances, account, string.format('%d', cents))
    changed[#changed + 1] = account
    changed[#changed + 1] = string.format('%d', balance)
  end
  close = close and string.format('%d', close) or ''
  audit_many('RETURN', bucket, table.concat(rows), changed, now, 'contracts', name .. '\\n' .. string.match(text, '^[^|]*'), 'closePriceMicros', close)
  redis.call('XADD', settlements, 'MINID', '~', string.format('%d', now - ${BOOKS_KEPT_MS}), '*', 'settled', cjson.encode(settled), 'closePriceMicros', close, 'settledAtMs', string.format('%d', now))
end
redis.call('ZREM', expiries, name)
return #settled
`;

/**
 * Settles what one call opened, once it is due. Returns how many contracts settled, or
 * `waiting` if the quote for it has not come yet.
 */
export const settleBatch = defineScript<SettleArgs, number | "waiting">({
  name: "settle-batch",
  lua: settleLua,
  keys: {
    ticks: ({ partition, name }) => new DeskKeys(partition).ticks(parseBatchName(name).symbol),
    contracts: ({ partition, name }) =>
      new DeskKeys(partition).contracts(parseBatchName(name).bucket),
    ...deskKeys("balances", "expiries", "settlements"),
    ...AUDIT_KEYS,
  },
  args: {
    name: ({ name }) => name,
    field: ({ name }) => parseBatchName(name).field,
    bucket: ({ name }) => parseBatchName(name).bucket,
    ...AUDIT_ARGS,
  },
  reply(raw) {
    const settled = asInteger(raw);
    return settled < 0 ? "waiting" : settled;
  },
});

/** An entry of the desk's `settlements` stream: its field `settled` contains these as JSON. */
export type SettledContract = readonly [
  ClientOrderId,
  AccountId,
  SettlementKind,
  returnCents: number,
];
