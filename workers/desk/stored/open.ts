/**
 * Opening binary contracts: at most once for each client order id, at the newest streamed
 * quote. The stake is taken in the same step.
 */
import type { AccountId } from "../../../domain/ids.ts";
import type { RefusalReason } from "../../venues/desk/api.ts";
import type { ContractType } from "../../../domain/products/binary.ts";
import { BATCHES_LUA, BOOKS_KEPT_MS, QUOTE_VALID_MS, standingIn } from "./books.ts";
import type { OpenedTerms } from "../../venues/desk/api.ts";
import { AUDIT_ARGS, AUDIT_KEYS, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { DeskKeys, deskKeys } from "./keys.ts";
import { headerKey, LUA_REFUSE_LOST } from "./whole.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

/**
 * Orders of one shard of a bucket, as columns of one length: an order's client order id is
 * `bucket.name`. A shard passes in this form from the worker into the script, and is not
 * taken apart on the way.
 */
export interface OrderColumns {
  readonly bucket: string;
  /** The same for an order in every call: an order is never opened twice within one shard. */
  readonly shard: number;
  readonly names: readonly string[];
  readonly accounts: readonly AccountId[];
  readonly stakesCents: readonly number[];
}

export interface OpenArgs extends DeskCall {
  readonly symbol: string;
  readonly contract: ContractType;
  readonly durationMs: number;
  readonly validUntilMs: number;
  readonly payoutBp: number;
  readonly orders: OrderColumns;
}

export type OpenReply =
  /** Each order was opened by this call. */
  | { readonly kind: "all-opened"; readonly terms: OpenedTerms }
  | { readonly kind: "each"; readonly opened: readonly Opened[] };

export type Opened =
  | { readonly kind: "opened"; readonly stakeCents: number; readonly terms: OpenedTerms }
  | { readonly kind: "rejected"; readonly reason: RefusalReason };

const openLua = `
${LUA_NOW}
${LUA_REFUSE_LOST}
${BATCHES_LUA}
${AUDIT_MANY_LUA}
-- C code parses the JSON lists: separate arguments cost Redis and its client several times as much.
local accounts, stakes = cjson.decode(accounts), cjson.decode(stakes)
local now = now_ms()
local expires = now + duration
local price, source_time = string.match(redis.call('HGET', quotes, symbol) or '', '^(%d+),(%d+)')
local refusal
if now > tonumber(valid_until) then refusal = 'PAST_VALID_UNTIL'
elseif not price or now - tonumber(source_time) > ${QUOTE_VALID_MS} then refusal = 'QUOTE_STALE' end

-- Mostly there are none: then every order is new, and its name need not be read.
local batches = batches_of(contracts, shard)
local standing, is_standing = {}, {}
if #batches > 0 then
  for _, text in ipairs(batches) do
    for name in string.gmatch(string.match(text, '|(.*)$'), '([^,]*),[^;]*;') do is_standing[name] = true end
  end
  local i = 0
  for name in string.gmatch(packed, '([^,]*),[^;]*;') do
    i = i + 1
    standing[i] = is_standing[name]
  end
end

local format = string.format
local found = redis.call('HMGET', balances, unpack(accounts))
local refused, repeated = {}, 0
-- The new balances to write, and the place of each account in that list.
local changed, places, size = {}, {}, 0
for i, account in ipairs(accounts) do
  if standing[i] then repeated = repeated + 1
  else
    local reason = refusal
    if not reason then
      local place = places[account]
      local balance = place and changed[place] or found[i]
      local left = balance and balance - stakes[i]
      if not left then reason = 'ACCOUNT_UNKNOWN'
      elseif left < 0 then reason = 'BALANCE_TOO_LOW'
      else
        if not place then
          size = size + 2
          place = size
          places[account], changed[place - 1] = place, account
        end
        changed[place] = format('%d', left)
      end
    end
    if reason then refused[#refused + 1] = {i, reason} end
  end
end
local opened = #accounts - repeated - #refused
if opened > 0 then
  if opened < #accounts then
    for _, each in ipairs(refused) do standing[each[1]] = true end
    local i, parts = 0, {}
    for order in string.gmatch(packed, '[^;]*;') do
      i = i + 1
      if not standing[i] then parts[#parts + 1] = order end
    end
    packed = table.concat(parts)
  end
  local field = shard .. '#' .. #batches
  local head = format('open,%s,%s,%s,%d,%d,%s', contract, payout, price, now, expires, symbol)
  local text, name = head .. '|' .. packed, field .. ' ' .. bucket .. ' ' .. symbol
  redis.call('HSET', balances, unpack(changed))
  redis.call('HSET', contracts, field, text)
  redis.call('PEXPIRE', contracts, ${BOOKS_KEPT_MS} + duration)
  redis.call('ZADD', expiries, expires, name)
  audit_many('STAKE', bucket, packed, changed, now, 'contracts', name .. '\\n' .. head)
  if opened == #accounts then return {price, now, expires} end
  batches[#batches + 1] = text
end
return {price or '', now, expires, refused, batches}
`;

/** At most a few hundred orders in a call, and no name twice. Replies are in their order. */
export const openContracts = defineScript<OpenArgs, OpenReply>({
  name: "open-contracts",
  lua: openLua,
  keys: {
    ...deskKeys("quotes", "balances", "expiries"),
    contracts: ({ partition, orders }) => new DeskKeys(partition).contracts(orders.bucket),
    ...AUDIT_KEYS,
    ...headerKey,
  },
  args: {
    symbol: ({ symbol }) => symbol,
    contract: ({ contract }) => contract,
    duration: ({ durationMs }) => durationMs,
    valid_until: ({ validUntilMs }) => validUntilMs,
    payout: ({ payoutBp }) => payoutBp,
    bucket: ({ orders }) => orders.bucket,
    shard: ({ orders }) => orders.shard,
    packed: ({ orders }) => packOrders(orders),
    accounts: ({ orders }) => JSON.stringify(orders.accounts),
    stakes: ({ orders }) => JSON.stringify(orders.stakesCents),
    ...AUDIT_ARGS,
  },
  reply(raw, { orders: { bucket, names } }) {
    const [price, openedAtMs, expiresAtMs, refused, batches] = asList(raw);
    if (refused === undefined) {
      const terms = {
        openPriceMicros: asInteger(price),
        openedAtMs: asInteger(openedAtMs),
        expiresAtMs: asInteger(expiresAtMs),
      };
      return { kind: "all-opened", terms };
    }
    const reasons = new Map(
      asList(refused).map((each) => {
        const [place, reason] = asList(each);
        return [asInteger(place) - 1, asText(reason) as RefusalReason];
      }),
    );
    const standing = standingIn(bucket, asList(batches));
    const opened = names.map((name, index): Opened => {
      const reason = reasons.get(index);
      if (reason) return { kind: "rejected", reason };
      const contract = standing.get(name);
      if (!contract) throw new TypeError("an order is neither refused nor on the books");
      return { kind: "opened", stakeCents: contract.stakeCents, terms: contract.terms };
    });
    return { kind: "each", opened };
  },
});

/** In the form of a batch's field (`books.ts`). */
function packOrders({ names, accounts, stakesCents }: OrderColumns): string {
  let packed = "";
  for (const [index, name] of names.entries()) {
    packed += `${name},${accounts[index] ?? ""},${stakesCents[index] ?? ""};`;
  }
  return packed;
}
