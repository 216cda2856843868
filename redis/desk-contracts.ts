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

/** What of a client order id tells it apart within its bucket. */
export function nameOf(id: ClientOrderId, bucket: string): string {
  return id.slice(bucket.length + 1);
}

function idOf(name: string, bucket: string): ClientOrderId {
  return (name === "" ? bucket : `${bucket}.${name}`) as ClientOrderId;
}

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

/** What all contracts have in common that were opened in one call. */
export interface OpenedTerms {
  readonly openPriceMicros: number;
  readonly openedAtMs: number;
  readonly expiresAtMs: number;
}

export type OpenReply =
  /** Each order was opened by this very call. */
  | { readonly kind: "all-opened"; readonly terms: OpenedTerms }
  | { readonly kind: "each"; readonly opened: readonly Opened[] };

export type Opened =
  | { readonly kind: "opened"; readonly stakeCents: number; readonly terms: OpenedTerms }
  | { readonly kind: "rejected"; readonly reason: RejectReason };

/*
 * The hash of a bucket has two kinds of fields. Each contract's name leads to
 * the number of the call that opened it, and `#<number>` holds all that this
 * call opened: `state,contract,payoutBp,openPrice,openedAt,expiresAt|` and
 * then `name,account,stake;` for each. What is the same for a whole shard is
 * thus written once, when it opens and again when it settles.
 */

/** A contract as it stands on the books. */
export interface Contract {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  readonly state: "open" | SettlementKind;
  readonly contract: ContractType;
  readonly payoutBp: number;
  readonly terms: OpenedTerms;
}

/** Reads what one call opened, by name. */
function parseBatch(text: string, bucket: string): Map<string, Contract> {
  const [head = "", orders = ""] = text.split("|");
  const [state, contract, payoutBp, openPriceMicros, openedAtMs, expiresAtMs] = head.split(",");
  const terms = {
    openPriceMicros: Number(openPriceMicros),
    openedAtMs: Number(openedAtMs),
    expiresAtMs: Number(expiresAtMs),
  };
  const contracts = new Map<string, Contract>();
  for (const order of orders.split(";").slice(0, -1)) {
    const [name = "", account = "", stakeCents] = order.split(",");
    contracts.set(name, {
      clientOrderId: idOf(name, bucket),
      account: account as AccountId,
      stakeCents: Number(stakeCents),
      state: state as Contract["state"],
      contract: contract as ContractType,
      payoutBp: Number(payoutBp),
      terms,
    });
  }
  return contracts;
}

/** Reads a bucket from its `HGETALL`, as an object or as field, value, field, value …. */
export function parseBucket(bucket: string, raw: unknown): Contract[] {
  const flat = Array.isArray(raw)
    ? raw.map(String)
    : Object.entries(raw as Record<string, string>).flat();
  const contracts: Contract[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    if (!flat[index]?.startsWith("#")) continue;
    contracts.push(...parseBatch(flat[index + 1] ?? "", bucket).values());
  }
  return contracts;
}

/** Gives the batches that numbers lead to, as number, text, number, text …; what is no number leads nowhere. */
const BATCHES_LUA = `
local function batches_of(key, numbers)
  local batches, seen = {}, {}
  for _, number in ipairs(numbers) do
    if number and not seen[number] then
      seen[number] = true
      local text = redis.call('HGET', key, '#' .. number)
      if text then batches[#batches + 1] = number batches[#batches + 1] = text end
    end
  end
  return batches
end
`;

/** Finds each name's contract by the number it leads to. */
function standingIn(
  bucket: string,
  batches: readonly unknown[],
): (number: unknown, name: string) => Contract | undefined {
  const byNumber = new Map<string, Map<string, Contract>>();
  for (let index = 0; index + 1 < batches.length; index += 2) {
    byNumber.set(asText(batches[index]), parseBatch(asText(batches[index + 1]), bucket));
  }
  return (number, name) =>
    typeof number === "string" ? byNumber.get(number)?.get(name) : undefined;
}

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

/** A member of `DeskKeys.expiries`: what one call opened. */
interface BatchName {
  readonly number: string;
  readonly bucket: string;
  readonly symbol: string;
}

function parseBatchName(name: string): BatchName {
  const [number = "", bucket = "", symbol = ""] = name.split(" ");
  return { number, bucket, symbol };
}

export interface FindArgs {
  readonly partition: number;
  readonly bucket: string;
  readonly names: readonly string[];
}

const findLua = `
${LUA_NOW}
${BATCHES_LUA}
local numbers = redis.call('HMGET', KEYS[1], unpack(ARGV))
return {now_ms(), numbers, batches_of(KEYS[1], numbers)}
`;

/** Asks the books, with the time at which they answer: after an order's valid-until, absent is for good. */
export const findContracts: Script<
  FindArgs,
  { readonly nowMs: number; readonly found: (Contract | undefined)[] }
> = {
  name: "find-contracts",
  lua: findLua,
  keys: ({ partition, bucket }) => [new DeskKeys(partition).contracts(bucket)],
  args: ({ names }) => [...names],
  reply(raw, { names, bucket }) {
    const [nowMs, numbers, batches] = asList(raw);
    const find = standingIn(bucket, asList(batches));
    const found = asList(numbers).map((number, index) => find(number, names[index] ?? ""));
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
local name, field, bucket, now = ARGV[1], ARGV[2], ARGV[3], now_ms()
local expires = tonumber(redis.call('ZSCORE', KEYS[4], name))
if not expires or now < expires then return 0 end
-- The newest at one instant is no better known than the oldest: ties go by their text, on every server alike.
local tick = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%d', expires), string.format('%d', expires + ${VOID_AFTER_MS}), 'LIMIT', 0, 1)[1]
if not tick and now < expires + ${VOID_AFTER_MS} then return -1 end
local close = tick and tonumber(string.match(tick, ',(%d+)$'))

local settled = {}
local contract, payout, open, rest =
  string.match(redis.call('HGET', KEYS[2], field) or '', '^open,(%a+),(%d+),(%d+),(.*)$')
if contract then
  local kind, returns = 'void', {}
  if close then
    local won
    if contract == 'CALL' then won = close > tonumber(open) else won = close < tonumber(open) end
    kind = won and 'won' or 'lost'
  end
  for order, account, cents in string.gmatch(string.match(rest, '|(.*)$'), '([^,]*),([^,]*),(%d+);') do
    local stake, returned = tonumber(cents), 0
    if kind == 'void' then returned = stake
    elseif kind == 'won' then
      -- In two parts, so that the product stays exact for every amount.
      returned = stake + math.floor(stake / 10000) * payout + math.floor((stake % 10000) * payout / 10000)
    end
    if returned > 0 then returns[account] = (returns[account] or 0) + returned end
    settled[#settled + 1] = {order == '' and bucket or bucket .. '.' .. order, account, kind, returned}
  end
  redis.call('HSET', KEYS[2], field, kind .. ',' .. contract .. ',' .. payout .. ',' .. open .. ',' .. rest)
  for account, cents in pairs(returns) do
    redis.call('HINCRBY', KEYS[3], account, string.format('%d', cents))
  end
  redis.call('XADD', KEYS[5], 'MINID', '~', string.format('%d', now - ${BOOKS_KEPT_MS}), '*', 'settled', cjson.encode(settled), 'closePriceMicros', close and string.format('%d', close) or '', 'settledAtMs', string.format('%d', now))
end
redis.call('ZREM', KEYS[4], name)
return #settled
`;

/** Settles what one call opened, once it is due. Replies how many contracts; `waiting` while the quote to settle at is not there yet. */
export const settleBatch: Script<SettleArgs, number | "waiting"> = {
  name: "settle-batch",
  lua: settleLua,
  keys: ({ partition, name }) => {
    const desk = new DeskKeys(partition);
    const { bucket, symbol } = parseBatchName(name);
    return [
      desk.ticks(symbol),
      desk.contracts(bucket),
      desk.balances,
      desk.expiries,
      desk.settlements,
    ];
  },
  args: ({ name }) => {
    const { number, bucket } = parseBatchName(name);
    return [name, `#${number}`, bucket];
  },
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
