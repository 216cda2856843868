/**
 * Opening binary contracts: at most once per client order id, at the newest
 * streamed quote, with the stake taken in the same step.
 */
import type { AccountId } from "../../../domain/ids.ts";
import type { RefusalReason } from "../../venues/desk/api.ts";
import type { ContractType } from "../../../domain/products/binary.ts";
import { BATCHES_LUA, BOOKS_KEPT_MS, QUOTE_VALID_MS, standingIn } from "./books.ts";
import type { OpenedTerms } from "../../venues/desk/api.ts";
import { auditArgs, auditKeys, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { DeskKeys } from "./keys.ts";
import { luaRefuseLost } from "./whole.ts";
import { formatKey } from "../../../redis/keys.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "../../../redis/script.ts";

/**
 * Orders of one shard of a bucket as columns of one length: an order's client
 * order id is `bucket.name`. A shard travels like this from the worker into the
 * script, and nothing of it is taken apart on the way.
 */
export interface OrderColumns {
  readonly bucket: string;
  /** The same for an order whenever it is sent: it is never opened twice within one shard. */
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
  /** Each order was opened by this very call. */
  | { readonly kind: "all-opened"; readonly terms: OpenedTerms }
  | { readonly kind: "each"; readonly opened: readonly Opened[] };

export type Opened =
  | { readonly kind: "opened"; readonly stakeCents: number; readonly terms: OpenedTerms }
  | { readonly kind: "rejected"; readonly reason: RefusalReason };

const openLua = `
${LUA_NOW}
${luaRefuseLost(5)}
${BATCHES_LUA}
${AUDIT_MANY_LUA}
local symbol, contract, duration, valid_until, payout = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local bucket, shard, packed = ARGV[6], ARGV[7], ARGV[8]
-- Lists in JSON are read in C: an argument each costs Redis and its client several times as much.
local accounts, stakes = cjson.decode(ARGV[9]), cjson.decode(ARGV[10])
local now = now_ms()
local expires = now + duration
local price, source_time = string.match(redis.call('HGET', KEYS[1], symbol) or '', '^(%d+),(%d+)')
local refusal
if now > valid_until then refusal = 'PAST_VALID_UNTIL'
elseif not price or now - tonumber(source_time) > ${QUOTE_VALID_MS} then refusal = 'QUOTE_STALE' end

-- Mostly there are none: then every order is new, and nobody needs to know its name.
local batches = batches_of(KEYS[3], shard)
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
local found = redis.call('HMGET', KEYS[2], unpack(accounts))
local refused, kept = {}, 0
-- What is written to the balances, and where each account stands in it.
local balances, places, size = {}, {}, 0
for i, account in ipairs(accounts) do
  if standing[i] then kept = kept + 1
  else
    local reason = refusal
    if not reason then
      local place = places[account]
      local balance = place and balances[place] or found[i]
      local left = balance and balance - stakes[i]
      if not left then reason = 'ACCOUNT_UNKNOWN'
      elseif left < 0 then reason = 'BALANCE_TOO_LOW'
      else
        if not place then
          size = size + 2
          place = size
          places[account], balances[place - 1] = place, account
        end
        balances[place] = format('%d', left)
      end
    end
    if reason then refused[#refused + 1] = {i, reason} end
  end
end
local opened = #accounts - kept - #refused
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
  redis.call('HSET', KEYS[2], unpack(balances))
  redis.call('HSET', KEYS[3], field, text)
  redis.call('PEXPIRE', KEYS[3], ${BOOKS_KEPT_MS} + duration)
  redis.call('ZADD', KEYS[4], expires, name)
  audit_many('STAKE', bucket, packed, balances, now, 'contracts', name .. '\\n' .. head)
  if opened == #accounts then return {price, now, expires} end
  batches[#batches + 1] = text
end
return {price or '', now, expires, refused, batches}
`;

/** At most a few hundred orders a call, no name twice. Replies in their order. */
export const openContracts: Script<OpenArgs, OpenReply> = {
  name: "open-contracts",
  lua: openLua,
  keys: ({ partition, orders: { bucket } }) => {
    const desk = new DeskKeys(partition);
    return [
      desk.quotes,
      desk.balances,
      desk.contracts(bucket),
      desk.expiries,
      formatKey(partition),
      ...auditKeys({ partition }),
    ];
  },
  args: ({ orders, ...terms }) => {
    const { bucket, shard, names, accounts, stakesCents } = orders;
    let packed = "";
    for (const [index, name] of names.entries()) {
      packed += `${name},${accounts[index] ?? ""},${stakesCents[index] ?? ""};`;
    }
    return [
      terms.symbol,
      terms.contract,
      String(terms.durationMs),
      String(terms.validUntilMs),
      String(terms.payoutBp),
      bucket,
      String(shard),
      packed,
      JSON.stringify(accounts),
      JSON.stringify(stakesCents),
      ...auditArgs(terms),
    ];
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
};
