/**
 * Selling contracts back before they expire: at the newest streamed quote, each once. The
 * money is paid in the same step. Contracts that one call sells are moved from their batch
 * to a batch of their own, so that they are never settled as well.
 *
 * The house's rule is this script (ADR 24). At the start a contract is worth half of what
 * a win returns, as if a coin decided. From there its worth moves in step with time: to
 * the whole if it is in the money, and to zero if it is not.
 */
import type { SignalId } from "../../../domain/ids.ts";
import { BATCHES_LUA, BOOKS_KEPT_MS, QUOTE_VALID_MS, standingIn, type Contract } from "./books.ts";
import type { OrderColumns } from "./open.ts";
import { AUDIT_ARGS, AUDIT_KEYS, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { DeskKeys, deskKeys } from "./keys.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface SellArgs extends DeskCall {
  /** The close. A contract that it sold before is already sold. */
  readonly close: SignalId;
  readonly orders: Pick<OrderColumns, "bucket" | "shard" | "names">;
}

const lua = `
${LUA_NOW}
${BATCHES_LUA}
${AUDIT_MANY_LUA}
local now = now_ms()
local wanted = {}
for _, name in ipairs(cjson.decode(names)) do wanted[name] = true end
local batches = batches_of(contracts, shard)
for number = 1, #batches do
  local head, orders = string.match(batches[number], '^(.-)|(.*)$')
  local contract, payout, open, opened_at, expires_at, symbol = string.match(head, '^open,(%a+),(%d+),(%d+),(%d+),(%d+),(%S+)$')
  local expires = tonumber(expires_at)
  local price, source_time = string.match(contract and redis.call('HGET', quotes, symbol) or '', '^(%d+),(%d+)')
  -- An expired contract is settled, not sold.
  if price and now < expires and now - tonumber(source_time) <= ${QUOTE_VALID_MS} then
    local in_the_money
    if contract == 'CALL' then in_the_money = tonumber(price) > tonumber(open)
    else in_the_money = tonumber(price) < tonumber(open) end
    local share = math.floor((expires - now) * 10000 / (2 * (expires - tonumber(opened_at))))
    if in_the_money then share = 10000 - share end
    local remaining, sold, settled, returns, rows = {}, {}, {}, {}, {}
    for order in string.gmatch(orders, '[^;]*;') do
      local name, account, cents = string.match(order, '^([^,]*),([^,]*),(%d+);$')
      if wanted[name] then
        -- Each product is computed in two parts, so that it is exact for every amount.
        local stake = tonumber(cents)
        local won = stake + math.floor(stake / 10000) * payout + math.floor((stake % 10000) * payout / 10000)
        local returned = math.floor(won / 10000) * share + math.floor((won % 10000) * share / 10000)
        returns[account] = (returns[account] or 0) + returned
        sold[#sold + 1] = string.format('%s,%s,%s,%d;', name, account, cents, returned)
        rows[#rows + 1] = string.format('%s,%s,%d;', name, account, returned)
        settled[#settled + 1] = {name == '' and bucket or bucket .. '.' .. name, account, 'sold', returned}
      else
        remaining[#remaining + 1] = order
      end
    end
    if #sold > 0 then
      local field, next_field = shard .. '#' .. (number - 1), shard .. '#' .. #batches
      batches[number] = head .. '|' .. table.concat(remaining)
      batches[#batches + 1] = string.format('sold,%s,%s,%s,%s,%s,%s,%s,%s,%d|', contract, payout, open, opened_at, expires_at, symbol, close, price, now) .. table.concat(sold)
      redis.call('HSET', contracts, field, batches[number], next_field, batches[#batches])
      local of = ' ' .. bucket .. ' ' .. symbol
      if #remaining == 0 then redis.call('ZREM', expiries, field .. of) end
      local changed = {}
      for account, cents in pairs(returns) do
        local balance = redis.call('HINCRBY', balances, account, string.format('%d', cents))
        changed[#changed + 1] = account
        changed[#changed + 1] = string.format('%d', balance)
      end
      local written = table.concat({field .. of, batches[number], next_field .. of, batches[#batches]}, '\\n')
      audit_many('RETURN', bucket, table.concat(rows), changed, now, 'contracts', written, 'closePriceMicros', price)
      redis.call('XADD', settlements, 'MINID', '~', string.format('%d', now - ${BOOKS_KEPT_MS}), '*', 'settled', cjson.encode(settled), 'closePriceMicros', price, 'settledAtMs', string.format('%d', now))
    end
  end
end
return {now, batches}
`;

export interface SellReply {
  readonly nowMs: number;
  /** The contracts after the call, in the order of the names. */
  readonly contracts: readonly (Contract | undefined)[];
}

/** A contract that is still open had no quote at which it could be sold. */
export const sellContracts = defineScript<SellArgs, SellReply>({
  name: "sell-contracts",
  lua,
  keys: {
    ...deskKeys("quotes", "balances", "expiries", "settlements"),
    contracts: ({ partition, orders }) => new DeskKeys(partition).contracts(orders.bucket),
    ...AUDIT_KEYS,
  },
  args: {
    close: ({ close }) => close,
    bucket: ({ orders }) => orders.bucket,
    shard: ({ orders }) => orders.shard,
    names: ({ orders }) => JSON.stringify(orders.names),
    ...AUDIT_ARGS,
  },
  reply(raw, { orders: { bucket, names } }) {
    const [nowMs, batches] = asList(raw);
    const standing = standingIn(bucket, asList(batches));
    return { nowMs: asInteger(nowMs), contracts: names.map((name) => standing.get(name)) };
  },
});
