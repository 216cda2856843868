/**
 * Opening binary contracts: at most once per client order id, at the newest
 * streamed quote, with the stake taken in the same step.
 */
import type { AccountId } from "../domain/ids.ts";
import type { RejectReason } from "../domain/outcome.ts";
import type { ContractType } from "../domain/signal.ts";
import { BATCHES_LUA, BOOKS_KEPT_MS, standingIn, type OpenedTerms } from "./desk-books.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";

/** DESK: an opening quote is at most this old. */
const QUOTE_VALID_MS = 1_000;

/**
 * Orders of one shard of a bucket as columns of one length: an order's client
 * order id is `bucket.name`. A shard travels like this from the worker into the script,
 * and nothing of it is taken apart on the way.
 */
export interface OrderColumns {
  readonly bucket: string;
  /** The same for an order whenever it is sent: it is never opened twice within one shard. */
  readonly shard: number;
  readonly names: readonly string[];
  readonly accounts: readonly AccountId[];
  readonly stakesCents: readonly number[];
}

export interface OpenArgs {
  readonly partition: number;
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
  | { readonly kind: "rejected"; readonly reason: RejectReason };

const openLua = `
${LUA_NOW}
${BATCHES_LUA}
local symbol, contract, duration, valid_until, payout = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local bucket, shard, packed, count = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
-- The names stand first, then the accounts, then the stakes: each kind is passed on without a table of its own.
local names, accounts, stakes = 9, 9 + count, 9 + 2 * count
local now = now_ms()
local expires = now + duration
local price, source_time = string.match(redis.call('HGET', KEYS[1], symbol) or '', '^(%d+),(%d+)')
local refusal
if now > valid_until then refusal = 'PAST_VALID_UNTIL'
elseif not price or now - tonumber(source_time) > ${QUOTE_VALID_MS} then refusal = 'QUOTE_STALE' end

-- Mostly none: then every order is new.
local batches = batches_of(KEYS[3], shard)
local standing = {}
for _, text in ipairs(batches) do
  for name in string.gmatch(string.match(text, '|(.*)$'), '([^,]*),[^;]*;') do standing[name] = true end
end
local found = redis.call('HMGET', KEYS[2], unpack(ARGV, accounts + 1, stakes))
local refused, parts, balances, opened = {}, {}, {}, 0
for i = 1, count do
  local name = ARGV[names + i]
  if not standing[name] then
    local account, stake = ARGV[accounts + i], tonumber(ARGV[stakes + i])
    local balance = balances[account]
    if balance == nil then balance = found[i] and tonumber(found[i]) end
    local reason = refusal
    if not reason then
      if not balance then reason = 'ACCOUNT_UNKNOWN'
      elseif balance < stake then reason = 'BALANCE_TOO_LOW' end
    end
    if reason then refused[#refused + 1] = i refused[#refused + 1] = reason
    else
      balances[account] = balance - stake
      -- The same id twice in one call is one contract.
      standing[name] = true
      opened = opened + 1
      parts[opened] = i
    end
  end
end
if opened > 0 then
  if opened < count then
    for part, i in ipairs(parts) do
      parts[part] = ARGV[names + i] .. ',' .. ARGV[accounts + i] .. ',' .. ARGV[stakes + i] .. ';'
    end
    packed = table.concat(parts)
  end
  local changed, size = {}, 0
  for account, balance in pairs(balances) do
    changed[size + 1], changed[size + 2] = account, string.format('%d', balance)
    size = size + 2
  end
  local field = shard .. '#' .. #batches
  local text = string.format('open,%s,%s,%s,%d,%d|', contract, payout, price, now, expires) .. packed
  redis.call('HSET', KEYS[2], unpack(changed))
  redis.call('HSET', KEYS[3], field, text)
  redis.call('PEXPIRE', KEYS[3], ${BOOKS_KEPT_MS} + duration)
  redis.call('ZADD', KEYS[4], expires, field .. ' ' .. bucket .. ' ' .. symbol)
  if opened == count then return {price, now, expires} end
  batches[#batches + 1] = text
end
return {price or '', now, expires, refused, batches}
`;

/** At most a few hundred orders a call. Replies in their order. */
export const openContracts: Script<OpenArgs, OpenReply> = {
  name: "open-contracts",
  lua: openLua,
  keys: ({ partition, orders: { bucket } }) => {
    const desk = new DeskKeys(partition);
    return [desk.quotes, desk.balances, desk.contracts(bucket), desk.expiries];
  },
  args: ({ orders, ...terms }) => {
    const { bucket, shard, names, accounts } = orders;
    const stakes = orders.stakesCents.map(String);
    let packed = "";
    for (const [index, name] of names.entries()) {
      packed += `${name},${accounts[index] ?? ""},${stakes[index] ?? ""};`;
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
      String(names.length),
      ...names,
      ...accounts,
      ...stakes,
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
    const reasons = new Map<number, RejectReason>();
    const flat = asList(refused);
    for (let index = 0; index + 1 < flat.length; index += 2) {
      reasons.set(asInteger(flat[index]) - 1, asText(flat[index + 1]) as RejectReason);
    }
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
