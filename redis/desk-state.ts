/**
 * What the desk's scripts share: how an account stands in a partition, and how
 * a call ends. State is read when it is first wanted and written once at the
 * end, with the audit entry, however many commands a call holds.
 */
import { ASKED_QUOTE_VALID_MS } from "../domain/quote.ts";
import { HISTORY_CODES, SHOWN_HISTORY } from "./desk-summary.ts";
import { DeskKeys } from "./keys.ts";
import { LUA_NOW } from "./script.ts";

/** No account holds more than this in cents, and no position in shares: all arithmetic stays exact in doubles. */
export const MAX_HELD = 1_000_000_000_000_000;

/** A longer history is cut down to what is shown: seldom enough to be cheap, and soon enough to stay short. */
const LONG_HISTORY_CHARACTERS = 240;

export interface DeskCall {
  readonly partition: number;
  /** How many partitions there are: transaction numbers are interleaved by it. */
  readonly partitions: number;
  /** What the audit calls the server. */
  readonly server: string;
}

/** The keys of every script that is built on `DESK_STATE_LUA`. */
export function deskStateKeys({ partition }: Pick<DeskCall, "partition">): string[] {
  const desk = new DeskKeys(partition);
  return [
    desk.transactions,
    desk.audit,
    desk.balances,
    desk.positions,
    desk.symbols,
    desk.history,
    desk.buys,
    desk.sells,
    desk.sessions,
    desk.buyTriggers,
    desk.sellTriggers,
  ];
}

/** Their first three arguments. */
export function deskCallArgs({ server, partitions, partition }: DeskCall): string[] {
  return [server, String(partitions), String(partition)];
}

/**
 * A position is `free`, or, with something set for a trigger,
 * `free,reserved,buyCents,buyPrice,buyTransaction,sellCents,sellPrice,sellTransaction`,
 * where zero is none. An event is a line, see `desk-audit.ts`.
 */
export const DESK_STATE_LUA = `
${LUA_NOW}
local at, max_held, quote_valid = now_ms(), ${MAX_HELD}, ${ASKED_QUOTE_VALID_MS}
local function int(value) return string.format('%d', value) end

local function column(key, name) return {key = key, name = name, known = {}, changed = {}} end
local balances, symbols, history = column(KEYS[3], 'balances'), column(KEYS[5], 'symbols'), column(KEYS[6])
local buys, sells, sessions = column(KEYS[7], 'buys'), column(KEYS[8], 'sells'), column(KEYS[9], 'sessions')
local positions, packed_positions = column(KEYS[4], 'positions'), column(KEYS[4])
local function read(of, field)
  local value = of.known[field]
  if value == nil then
    value = redis.call('HGET', of.key, field)
    of.known[field] = value
  end
  return value
end
local function write(of, field, value)
  of.known[field], of.changed[field] = value, value
end
-- Many fields in one look: a call of Redis costs more than what it finds.
local function fetch(of, fields)
  local known = of.known
  for i, value in ipairs(redis.call('HMGET', of.key, unpack(fields))) do known[fields[i]] = value end
end

-- Balances are numbers here, and text in Redis.
local function balance_of(user)
  local value = balances.known[user]
  if value == nil then
    value = redis.call('HGET', balances.key, user)
    value = value and tonumber(value)
    balances.known[user] = value
  end
  return value
end
local function position_of(user, symbol)
  local field = user .. ' ' .. symbol
  local p = positions.known[field]
  if p then return p end
  local text = read(packed_positions, field)
  p = {field = field, new = not text, free = tonumber(text or 0), reserved = 0, buy = 0, buy_price = 0, buy_transaction = 0, sell = 0, sell_price = 0, sell_transaction = 0}
  if not p.free then
    local free, reserved, buy, buy_price, buy_transaction, sell, sell_price, sell_transaction =
      string.match(text, '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$')
    p.free = tonumber(free)
    p.reserved, p.buy, p.buy_price, p.buy_transaction = tonumber(reserved), tonumber(buy), tonumber(buy_price), tonumber(buy_transaction)
    p.sell, p.sell_price, p.sell_transaction = tonumber(sell), tonumber(sell_price), tonumber(sell_transaction)
  end
  positions.known[field] = p
  return p
end
local function keep(user, symbol, p)
  if p.new then
    p.new = false
    local held = read(symbols, user)
    write(symbols, user, held and held .. ' ' .. symbol or symbol)
  end
  positions.changed[p.field] = p
end
local function packed(p)
  if p.reserved == 0 and p.buy == 0 and p.sell == 0 then return int(p.free) end
  return string.format('%d,%d,%d,%d,%d,%d,%d,%d', p.free, p.reserved, p.buy, p.buy_price, p.buy_transaction, p.sell, p.sell_price, p.sell_transaction)
end

-- Every movement of a free balance is named here, and nowhere else.
local moved = ''
local function can_take(user, cents) return balance_of(user) + cents <= max_held end
local function move(user, cents)
  write(balances, user, (balance_of(user) or 0) + cents)
  moved = moved .. ',' .. int(cents)
end

local events, users, seen = {}, {}, {}
local function event(user, text)
  events[#events + 1] = text
  if not seen[user] then seen[user] = true users[#users + 1] = user end
end

-- Newest first, of what changed an account.
local history_end = int(at) .. ';'
local function remember(user, transaction, code, symbol, cents, shares)
  local old = read(history, user) or ''
  if #old > ${LONG_HISTORY_CHARACTERS} then
    local kept = 0
    for _ = 1, ${SHOWN_HISTORY - 1} do kept = string.find(old, ';', kept + 1, true) or #old end
    old = string.sub(old, 1, kept)
  end
  write(history, user, string.format('%d,%s,%s,%d,%d,', transaction, code, symbol, cents, shares) .. history_end .. old)
end

local function trigger(symbol, price, user) return string.format('%s %013d %s', symbol, price, user) end
local function clear_buy(user, symbol, p)
  if p.buy_price > 0 then redis.call('ZREM', KEYS[10], trigger(symbol, p.buy_price, user)) end
  p.buy, p.buy_price, p.buy_transaction = 0, 0, 0
end
local function clear_sell(user, symbol, p)
  if p.sell_price > 0 then redis.call('ZREM', KEYS[11], trigger(symbol, p.sell_price, user)) end
  p.free, p.reserved = p.free + p.reserved, 0
  p.sell, p.sell_price, p.sell_transaction = 0, 0, 0
end

-- Each fires once, under the transaction that set it; one that would burst an account goes on waiting.
local function fire_buy(user, symbol, p, quote)
  local shares = math.floor(p.buy / quote)
  local rest = p.buy - shares * quote
  if p.free + p.reserved + shares > max_held or not can_take(user, rest) then return false end
  local transaction, before = p.buy_transaction, moved
  clear_buy(user, symbol, p)
  p.free = p.free + shares
  moved = ''
  if rest > 0 then move(user, rest) end
  keep(user, symbol, p)
  event(user, string.format('f,%d,SET_BUY_TRIGGER,%s,%s,%d,%d%s', transaction, user, symbol, quote, shares, moved))
  moved = before
  remember(user, transaction, '${HISTORY_CODES["BOUGHT"]}', symbol, shares * quote, shares)
  return shares
end
local function fire_sell(user, symbol, p, quote)
  local shares, transaction, before = p.reserved, p.sell_transaction, moved
  local proceeds = shares * quote
  if not can_take(user, proceeds) then return false end
  p.reserved = 0
  clear_sell(user, symbol, p)
  moved = ''
  move(user, proceeds)
  keep(user, symbol, p)
  event(user, string.format('f,%d,SET_SELL_TRIGGER,%s,%s,%d,%d%s', transaction, user, symbol, quote, shares, moved))
  moved = before
  remember(user, transaction, '${HISTORY_CODES["SOLD"]}', symbol, proceeds, shares)
  return shares
end

local transactions = 0
local counted, partitions, first = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[2]), ARGV[3] + 1
local function next_transaction()
  transactions = transactions + 1
  return (counted + transactions - 1) * partitions + first
end

-- The state and its audit in one entry: what happened, line by line, and how all that changed now stands.
local function finish()
  if transactions > 0 then redis.call('INCRBY', KEYS[1], transactions) end
  for field, p in pairs(positions.changed) do positions.changed[field] = packed(p) end
  for user, cents in pairs(balances.changed) do balances.changed[user] = int(cents) end
  local entry = {KEYS[2], '*', 'at', int(at), 'server', ARGV[1], 'users', table.concat(users, ' '), 'events', table.concat(events, '\\n')}
  for _, of in ipairs({balances, positions, buys, sells, symbols, sessions, history}) do
    local flat, size = {}, 0
    for field, value in pairs(of.changed) do
      flat[size + 1], flat[size + 2] = field, value
      size = size + 2
    end
    if size > 0 then
      redis.call('HSET', of.key, unpack(flat))
      if of.name then
        entry[#entry + 1] = of.name
        entry[#entry + 1] = table.concat(flat, '\\n')
      end
    end
  end
  if #events > 0 then redis.call('XADD', unpack(entry)) end
end
`;
