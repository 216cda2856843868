/**
 * Binary contracts on the desk's books. A contract is opened at most once per
 * client order id, at the newest streamed quote, with its stake taken in the
 * same step; contracts opened together settle together, at the first quote
 * whose source time is at or after their expiry.
 */
import type { SettlementKind } from "../domain/contract.ts";
import type { AccountId, ClientOrderId } from "../domain/ids.ts";
import type { RejectReason } from "../domain/outcome.ts";
import type { ContractType } from "../domain/signal.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";

/** DESK: an opening quote is at most this old. */
const QUOTE_VALID_MS = 1_000;
/** DESK: without a quote within this long after the expiry, a contract is void. */
export const VOID_AFTER_MS = 60_000;
/** How long a contract is kept on the books and its settlement can be followed. */
const BOOKS_KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** One hash of contracts per prefix of the client order ids, so that a group opens and is asked for in one call. */
export function bucketOf(id: ClientOrderId): string {
  const dot = id.lastIndexOf(".");
  return dot < 0 ? id : id.slice(0, dot);
}

export interface ContractOrder {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
}

export interface OpenArgs {
  readonly partition: number;
  readonly bucket: string;
  /** Names the contracts that this call opens; new at each call. */
  readonly batch: string;
  readonly symbol: string;
  readonly contract: ContractType;
  readonly durationMs: number;
  readonly validUntilMs: number;
  readonly payoutBp: number;
  readonly orders: readonly ContractOrder[];
}

export type Opened =
  | {
      readonly kind: "opened";
      readonly stakeCents: number;
      readonly openPriceMicros: number;
      readonly openedAtMs: number;
      readonly expiresAtMs: number;
    }
  | { readonly kind: "rejected"; readonly reason: RejectReason };

/** A contract on the books: `state,account,contract,stake,payoutBp,openPrice,openedAt,expiresAt`, and once settled `,returned`. */
function parseContract(text: string): Extract<Opened, { kind: "opened" }> | undefined {
  const fields = text.split(",");
  if (fields.length < 8) return undefined;
  const [stakeCents = 0, , openPriceMicros = 0, openedAtMs = 0, expiresAtMs = 0] = fields
    .slice(3, 8)
    .map(Number);
  return { kind: "opened", stakeCents, openPriceMicros, openedAtMs, expiresAtMs };
}

const openLua = `
${LUA_NOW}
local symbol, contract, duration, valid_until, payout, batch = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local now = now_ms()
local price, source_time = string.match(redis.call('HGET', KEYS[1], symbol) or '', '^(%d+),(%d+)')
local refusal
if now > valid_until then refusal = 'PAST_VALID_UNTIL'
elseif not price or now - tonumber(source_time) > ${QUOTE_VALID_MS} then refusal = 'QUOTE_STALE' end

local ids, accounts = {}, {}
for i = 7, #ARGV, 3 do ids[#ids + 1] = ARGV[i] accounts[#accounts + 1] = ARGV[i + 1] end
local standing = redis.call('HMGET', KEYS[3], unpack(ids))
local found = redis.call('HMGET', KEYS[2], unpack(accounts))
local balances = {}
for i, account in ipairs(accounts) do balances[account] = found[i] and tonumber(found[i]) end

local expires = now + duration
local terms = string.format(',%s,%s,%d,%d', payout, price or '', now, expires)
local reply, books, opened, touched = {price or '', now, expires}, {}, {}, {}
for i, id in ipairs(ids) do
  local account, stake = accounts[i], ARGV[6 + i * 3]
  local text = standing[i] or books[id]
  if text then
    reply[i + 3] = text
  elseif refusal then reply[i + 3] = refusal
  elseif not balances[account] then reply[i + 3] = 'ACCOUNT_UNKNOWN'
  elseif balances[account] < tonumber(stake) then reply[i + 3] = 'BALANCE_TOO_LOW'
  else
    balances[account] = balances[account] - stake
    touched[account] = true
    -- By id as well, as the same id twice in one call is one contract.
    books[id] = 'open,' .. account .. ',' .. contract .. ',' .. stake .. terms
    opened[#opened + 1] = id
    reply[i + 3] = ''
  end
end
if #opened > 0 then
  local changed, written = {}, {}
  for account in pairs(touched) do
    changed[#changed + 1] = account
    changed[#changed + 1] = string.format('%d', balances[account])
  end
  for i, id in ipairs(opened) do
    written[i * 2 - 1] = id
    written[i * 2] = books[id]
  end
  redis.call('HSET', KEYS[2], unpack(changed))
  redis.call('HSET', KEYS[3], unpack(written))
  redis.call('PEXPIRE', KEYS[3], ${BOOKS_KEPT_MS} + duration)
  redis.call('RPUSH', KEYS[5], unpack(opened))
  redis.call('ZADD', KEYS[4], expires, batch)
end
return reply
`;

/** At most a few hundred orders a call. Replies in their order. */
export const openContracts: Script<OpenArgs, Opened[]> = {
  name: "open-contracts",
  lua: openLua,
  keys: ({ partition, bucket, batch, symbol }) => {
    const desk = new DeskKeys(partition);
    return [
      desk.quotes,
      desk.balances,
      desk.contracts(bucket),
      desk.expiries,
      desk.batch(batchName({ batch, bucket, symbol })),
    ];
  },
  args: (args) => [
    args.symbol,
    args.contract,
    String(args.durationMs),
    String(args.validUntilMs),
    String(args.payoutBp),
    batchName(args),
    ...args.orders.flatMap((each) => [each.clientOrderId, each.account, String(each.stakeCents)]),
  ],
  reply(raw, { orders }) {
    const [price, openedAt, expiresAt, ...each] = asList(raw);
    return each.map((text, index): Opened => {
      if (text === "") {
        return {
          kind: "opened",
          stakeCents: orders[index]?.stakeCents ?? 0,
          openPriceMicros: asInteger(price),
          openedAtMs: asInteger(openedAt),
          expiresAtMs: asInteger(expiresAt),
        };
      }
      const standing = parseContract(asText(text));
      return standing ?? { kind: "rejected", reason: text as RejectReason };
    });
  },
};

interface BatchName {
  readonly batch: string;
  readonly bucket: string;
  readonly symbol: string;
}

function batchName({ batch, bucket, symbol }: BatchName): string {
  return `${batch} ${bucket} ${symbol}`;
}

export function parseBatchName(name: string): BatchName {
  const [batch = "", bucket = "", symbol = ""] = name.split(" ");
  return { batch, bucket, symbol };
}

export interface FindArgs {
  readonly partition: number;
  readonly bucket: string;
  readonly ids: readonly ClientOrderId[];
}

const findLua = `
${LUA_NOW}
return {now_ms(), redis.call('HMGET', KEYS[1], unpack(ARGV))}
`;

/** Asks the books, with the time at which they answer: after an order's valid-until, absent is for good. */
export const findContracts: Script<
  FindArgs,
  { readonly nowMs: number; readonly found: (Extract<Opened, { kind: "opened" }> | undefined)[] }
> = {
  name: "find-contracts",
  lua: findLua,
  keys: ({ partition, bucket }) => [new DeskKeys(partition).contracts(bucket)],
  args: ({ ids }) => [...ids],
  reply(raw) {
    const [nowMs, texts] = asList(raw);
    const found = asList(texts).map((text) =>
      typeof text === "string" ? parseContract(text) : undefined,
    );
    return { nowMs: asInteger(nowMs), found };
  },
};

export interface SettleArgs {
  readonly partition: number;
  /** A member of `DeskKeys.expiries`. */
  readonly name: string;
}

const settleLua = `
${LUA_NOW}
local name, now = ARGV[1], now_ms()
local expires = tonumber(redis.call('ZSCORE', KEYS[5], name))
if not expires or now < expires then return 0 end
-- The newest at one instant is no better known than the oldest: ties go by their text, on every server alike.
local tick = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%d', expires), string.format('%d', expires + ${VOID_AFTER_MS}), 'LIMIT', 0, 1)[1]
if not tick and now < expires + ${VOID_AFTER_MS} then return -1 end
local close = tick and tonumber(string.match(tick, ',(%d+)$'))

local ids = redis.call('LRANGE', KEYS[2], 0, -1)
local texts = redis.call('HMGET', KEYS[3], unpack(ids))
local books, returns, settled = {}, {}, {}
for i, id in ipairs(ids) do
  local account, contract, stake, payout, open, rest =
    string.match(texts[i] or '', '^open,([^,]*),(%a+),(%d+),(%d+),(%d+),(.*)$')
  if account then
    local kind = 'void'
    if close then
      open = tonumber(open)
      local won
      if contract == 'CALL' then won = close > open else won = close < open end
      kind = won and 'won' or 'lost'
    end
    stake, payout = tonumber(stake), tonumber(payout)
    local returned = 0
    if kind == 'void' then returned = stake
    elseif kind == 'won' then
      -- In two parts, so that the product stays exact for every amount.
      returned = stake + math.floor(stake / 10000) * payout + math.floor((stake % 10000) * payout / 10000)
    end
    books[#books + 1] = id
    books[#books + 1] = string.format('%s,%s,%s,%d,%d,%d,%s,%d', kind, account, contract, stake, payout, tonumber(open), rest, returned)
    if returned > 0 then returns[account] = (returns[account] or 0) + returned end
    settled[#settled + 1] = {id, account, kind, returned}
  end
end
if #settled > 0 then
  redis.call('HSET', KEYS[3], unpack(books))
  for account, cents in pairs(returns) do
    redis.call('HINCRBY', KEYS[4], account, string.format('%d', cents))
  end
  redis.call('XADD', KEYS[6], 'MINID', '~', string.format('%d', now - ${BOOKS_KEPT_MS}), '*', 'settled', cjson.encode(settled), 'closePriceMicros', close and string.format('%d', close) or '', 'settledAtMs', string.format('%d', now))
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[5], name)
return #settled
`;

/** Settles a batch that is due. Replies how many contracts; `waiting` while the quote to settle at is not there yet. */
export const settleBatch: Script<SettleArgs, number | "waiting"> = {
  name: "settle-batch",
  lua: settleLua,
  keys: ({ partition, name }) => {
    const desk = new DeskKeys(partition);
    const { bucket, symbol } = parseBatchName(name);
    return [
      desk.ticks(symbol),
      desk.batch(name),
      desk.contracts(bucket),
      desk.balances,
      desk.expiries,
      desk.settlements,
    ];
  },
  args: ({ name }) => [name],
  reply(raw) {
    const settled = asInteger(raw);
    return settled < 0 ? "waiting" : settled;
  },
};

/** An entry of the desk's `settlements` stream: its field `settled` holds these as JSON. */
export type SettledContract = readonly [
  ClientOrderId,
  AccountId,
  SettlementKind,
  returnCents: number,
];

export interface DepositArgs {
  readonly partition: number;
  readonly deposits: readonly {
    readonly id: string;
    readonly account: AccountId;
    readonly amountCents: number;
  }[];
}

const depositLua = `
local applied = 0
for i = 1, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[i + 1], ARGV[i + 2])
    applied = applied + 1
  end
end
return applied
`;

/** Opens accounts and adds money to them, once per deposit id. Replies how many were new. */
export const deposit: Script<DepositArgs, number> = {
  name: "deposit",
  lua: depositLua,
  keys: ({ partition }) => {
    const desk = new DeskKeys(partition);
    return [desk.balances, desk.deposits];
  },
  args: ({ deposits }) =>
    deposits.flatMap(({ id, account, amountCents }) => [id, account, String(amountCents)]),
  reply: asInteger,
};
