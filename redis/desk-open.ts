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
 * Orders of one bucket as columns of one length: an order's client order id is
 * `bucket.name`. A shard travels like this from the worker into the script,
 * and nothing of it is taken apart on the way.
 */
export interface OrderColumns {
  readonly bucket: string;
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
local bucket, packed, count = ARGV[6], ARGV[7], tonumber(ARGV[8])
-- The names stand first, then the accounts, then the stakes: each kind is passed on without a table of its own.
local names, accounts, stakes = 8, 8 + count, 8 + 2 * count
local now = now_ms()
local expires = now + duration
local price, source_time = string.match(redis.call('HGET', KEYS[1], symbol) or '', '^(%d+),(%d+)')
local refusal
if now > valid_until then refusal = 'PAST_VALID_UNTIL'
elseif not price or now - tonumber(source_time) > ${QUOTE_VALID_MS} then refusal = 'QUOTE_STALE' end

local standing = redis.call('HMGET', KEYS[3], unpack(ARGV, names + 1, accounts))
local found = redis.call('HMGET', KEYS[2], unpack(ARGV, accounts + 1, stakes))
-- The hash only grows, and by each call that writes to it: its length is a number that no other call has.
local number = string.format('%d', redis.call('HLEN', KEYS[3]))
local answers, opened, balances, all = {}, {}, {}, true
local written, filled = {}, 0
for i = 1, count do
  local name, account = ARGV[names + i], ARGV[accounts + i]
  local answer = standing[i] or opened[name]
  if not answer then
    local balance, stake = balances[account], tonumber(ARGV[stakes + i])
    if balance == nil then balance = found[i] and tonumber(found[i]) end
    if refusal then answer = refusal
    elseif not balance then answer = 'ACCOUNT_UNKNOWN'
    elseif balance < stake then answer = 'BALANCE_TOO_LOW'
    else
      balances[account] = balance - stake
      -- By name as well, as the same id twice in one call is one contract.
      opened[name] = number
      written[filled + 1], written[filled + 2] = name, number
      filled = filled + 2
    end
  end
  if answer then
    all = false
    answers[i] = answer
  else answers[i] = number end
end
if filled > 0 then
  if not all then
    local parts, told = {}, {}
    for i = 1, count do
      local name = ARGV[names + i]
      if opened[name] and not told[name] then
        told[name] = true
        parts[#parts + 1] = name .. ',' .. ARGV[accounts + i] .. ',' .. ARGV[stakes + i] .. ';'
      end
    end
    packed = table.concat(parts)
  end
  local changed, size = {}, 0
  for account, balance in pairs(balances) do
    changed[size + 1], changed[size + 2] = account, string.format('%d', balance)
    size = size + 2
  end
  written[filled + 1] = '#' .. number
  written[filled + 2] = string.format('open,%s,%s,%s,%d,%d|', contract, payout, price, now, expires) .. packed
  redis.call('HSET', KEYS[2], unpack(changed))
  redis.call('HSET', KEYS[3], unpack(written))
  redis.call('PEXPIRE', KEYS[3], ${BOOKS_KEPT_MS} + duration)
  redis.call('ZADD', KEYS[4], expires, number .. ' ' .. bucket .. ' ' .. symbol)
end
if all then return {price, now, expires} end
return {price or '', now, expires, answers, batches_of(KEYS[3], answers)}
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
    const { bucket, names, accounts } = orders;
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
      packed,
      String(names.length),
      ...names,
      ...accounts,
      ...stakes,
    ];
  },
  reply(raw, { orders: { bucket, names } }) {
    const [price, openedAtMs, expiresAtMs, answers, batches] = asList(raw);
    if (answers === undefined) {
      const terms = {
        openPriceMicros: asInteger(price),
        openedAtMs: asInteger(openedAtMs),
        expiresAtMs: asInteger(expiresAtMs),
      };
      return { kind: "all-opened", terms };
    }
    const find = standingIn(bucket, asList(batches));
    const opened = asList(answers).map((answer, index): Opened => {
      const contract = find(answer, names[index] ?? "");
      return contract
        ? { kind: "opened", stakeCents: contract.stakeCents, terms: contract.terms }
        : { kind: "rejected", reason: asText(answer) as RejectReason };
    });
    return { kind: "each", opened };
  },
};
