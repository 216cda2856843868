/**
 * The desk's commands, many in one call: each is checked, done, numbered and
 * audited in one atomic step, in the order given.
 */
import type { DeskCommandName } from "../domain/desk-command.ts";
import type { DeskRefusal } from "../domain/desk-refusals.ts";
import { DONE } from "./desk-reply.ts";
import { deskCallArgs, DESK_STATE_LUA, deskStateKeys, type DeskCall } from "./desk-state.ts";
import { HISTORY_CODES } from "./desk-summary.ts";
import { asText, type Script } from "./script.ts";

/** A call stays far below what Lua can unpack, and keeps Redis from others for a few milliseconds at most. */
export const MAX_COMMANDS = 512;
export const MAX_PENDING = 100;
/** Sessions of a user whose last command is remembered. */
const MAX_SESSIONS = 4;

/** One command, ready to be done, or to be audited as what was refused before it came here. */
export interface ReadyCommand {
  /** Of a refused line what looked like a name, or nothing. */
  readonly name: DeskCommandName | (string & {});
  readonly user: string;
  readonly symbol: string;
  readonly cents: number;
  /** The quote it is to be done at; zeros for none. */
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  /** The sender's session and number in it, if it is to be done once; otherwise empty and 0. */
  readonly session: string;
  readonly n: number;
  readonly more?: {
    readonly file?: string;
    readonly refusal?: DeskRefusal;
    /** What the quote server answered, if this command is why it was asked. */
    readonly paid?: PaidAnswer;
  };
}

export interface PaidAnswer {
  readonly symbol: string;
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  readonly cryptokey: string;
  /** In whose name it was asked. */
  readonly user: string;
}

export interface ExecuteArgs extends DeskCall {
  /** How long a pending order is valid: 60 s, save in a run that must not depend on its own speed. */
  readonly pendingValidMs: number;
  readonly commands: readonly ReadyCommand[];
}

const COLUMNS = 9;

const lua = `
${DESK_STATE_LUA}
local pending_valid = tonumber(ARGV[4])
local batch = cjson.decode(ARGV[5])
local commands = {}

function commands.ADD(user, _, cents)
  local balance = balance_of(user)
  if balance and not can_take(user, cents) then return 'BALANCE_TOO_HIGH' end
  move(user, cents)
  return nil, '', 0
end

function commands.QUOTE(_, symbol, _, price, time)
  return nil, string.format('s%s,p%d,q%d', symbol, price, time)
end

local function order(of, user, symbol, cents, price)
  if price > cents then return 'QUOTE_ABOVE_AMOUNT' end
  local old = read(of, user) or ''
  local newest = string.match(old, '^%u+,%d+,%d+,(%d+);')
  if newest and at - newest >= pending_valid then old = '' end
  -- No order takes less than twenty characters.
  if #old >= ${MAX_PENDING * 20} and select(2, string.gsub(old, ';', '')) >= ${MAX_PENDING} then return 'PENDING_TOO_MANY' end
  local shares = math.floor(cents / price)
  write(of, user, string.format('%s,%d,%d,%d;%s', symbol, shares, price, at, old))
  return nil, string.format('s%s,n%d,p%d,t%d', symbol, shares, price, shares * price)
end
-- Takes the newest off its pile, whatever then becomes of it.
local function take(of, user)
  local symbol, shares, price, time, rest = string.match(read(of, user) or '', '^(%u+),(%d+),(%d+),(%d+);(.*)$')
  if not symbol or at - time >= pending_valid then return nil end
  write(of, user, rest)
  return symbol, tonumber(shares), shares * price
end
local function settled(symbol, shares, cents)
  return string.format('s%s,n%d,t%d', symbol, shares, cents)
end

function commands.BUY(user, symbol, cents, price)
  if balance_of(user) < cents then return 'BALANCE_TOO_LOW' end
  return order(buys, user, symbol, cents, price)
end
function commands.COMMIT_BUY(user)
  local symbol, shares, cost = take(buys, user)
  if not symbol then return 'BUY_NOT_PENDING' end
  if balance_of(user) < cost then return 'BALANCE_TOO_LOW' end
  local p = position_of(user, symbol)
  if p.free + p.reserved + shares > max_held then return 'SHARES_TOO_MANY' end
  p.free = p.free + shares
  keep(user, symbol, p)
  move(user, -cost)
  return nil, settled(symbol, shares, cost), shares, symbol, cost
end
function commands.CANCEL_BUY(user)
  local symbol, shares, cost = take(buys, user)
  if not symbol then return 'BUY_NOT_PENDING' end
  return nil, settled(symbol, shares, cost)
end

function commands.SELL(user, symbol, cents, price)
  if position_of(user, symbol).free * price < cents then return 'SHARES_TOO_FEW' end
  return order(sells, user, symbol, cents, price)
end
function commands.COMMIT_SELL(user)
  local symbol, shares, proceeds = take(sells, user)
  if not symbol then return 'SELL_NOT_PENDING' end
  local p = position_of(user, symbol)
  if p.free < shares then return 'SHARES_TOO_FEW' end
  if not can_take(user, proceeds) then return 'BALANCE_TOO_HIGH' end
  p.free = p.free - shares
  keep(user, symbol, p)
  move(user, proceeds)
  return nil, settled(symbol, shares, proceeds), shares, symbol, proceeds
end
function commands.CANCEL_SELL(user)
  local symbol, shares, proceeds = take(sells, user)
  if not symbol then return 'SELL_NOT_PENDING' end
  return nil, settled(symbol, shares, proceeds)
end

function commands.SET_BUY_AMOUNT(user, symbol, cents)
  local p, balance = position_of(user, symbol), balance_of(user)
  if balance + p.buy < cents then return 'BALANCE_TOO_LOW' end
  if balance + p.buy - cents > max_held then return 'BALANCE_TOO_HIGH' end
  local old = p.buy
  clear_buy(user, symbol, p)
  p.buy = cents
  keep(user, symbol, p)
  if old > 0 then move(user, old) end
  move(user, -cents)
  return nil, '', 0
end
function commands.SET_BUY_TRIGGER(user, symbol, price, quote, _, transaction)
  local p = position_of(user, symbol)
  if p.buy == 0 then return 'BUY_AMOUNT_NOT_SET' end
  if price > p.buy then return 'PRICE_ABOVE_AMOUNT' end
  if p.buy_price > 0 then redis.call('ZREM', KEYS[10], trigger(symbol, p.buy_price, user)) end
  p.buy_price, p.buy_transaction = price, transaction
  redis.call('ZADD', KEYS[10], 0, trigger(symbol, price, user))
  keep(user, symbol, p)
  return nil, '', 0, symbol, price, quote <= price and fire_buy
end
function commands.CANCEL_SET_BUY(user, symbol)
  local p = position_of(user, symbol)
  local cents = p.buy
  if cents == 0 then return 'BUY_AMOUNT_NOT_SET' end
  if not can_take(user, cents) then return 'BALANCE_TOO_HIGH' end
  clear_buy(user, symbol, p)
  keep(user, symbol, p)
  move(user, cents)
  return nil, 't' .. int(cents), 0, symbol, cents
end

function commands.SET_SELL_AMOUNT(user, symbol, cents, price)
  local p = position_of(user, symbol)
  if (p.free + p.reserved) * price < cents then return 'SHARES_TOO_FEW' end
  clear_sell(user, symbol, p)
  p.sell = cents
  keep(user, symbol, p)
  return nil, '', 0
end
function commands.SET_SELL_TRIGGER(user, symbol, price, quote, _, transaction)
  local p = position_of(user, symbol)
  if p.sell == 0 then return 'SELL_AMOUNT_NOT_SET' end
  if price > p.sell then return 'PRICE_ABOVE_AMOUNT' end
  local shares = math.floor(p.sell / price)
  if p.free + p.reserved < shares then return 'SHARES_TOO_FEW' end
  if p.sell_price > 0 then redis.call('ZREM', KEYS[11], trigger(symbol, p.sell_price, user)) end
  p.free, p.reserved = p.free + p.reserved - shares, shares
  p.sell_price, p.sell_transaction = price, transaction
  redis.call('ZADD', KEYS[11], 0, trigger(symbol, price, user))
  keep(user, symbol, p)
  return nil, '', shares, symbol, price, quote >= price and fire_sell
end
function commands.CANCEL_SET_SELL(user, symbol)
  local p = position_of(user, symbol)
  if p.sell == 0 then return 'SELL_AMOUNT_NOT_SET' end
  local shares = p.reserved
  clear_sell(user, symbol, p)
  keep(user, symbol, p)
  return nil, 'n' .. int(shares), shares
end

function commands.DUMPLOG() return nil, '' end

-- As the fields stand: whoever reads it makes of it what people see, see desk-summary.ts.
function commands.DISPLAY_SUMMARY(user)
  local held, texts, missing, places = read(symbols, user) or '', {}, {}, {}
  for symbol in string.gmatch(held, '%u+') do
    local field = user .. ' ' .. symbol
    local p = positions.known[field]
    texts[#texts + 1] = p and packed(p) or '0'
    if not p then missing[#missing + 1], places[#places + 1] = field, #texts end
  end
  for from = 1, #missing, 1000 do
    for i, text in ipairs(redis.call('HMGET', positions.key, unpack(missing, from, math.min(from + 999, #missing)))) do
      if text then texts[places[from + i - 1]] = text end
    end
  end
  return nil, table.concat({'|', held, '|', table.concat(texts, ' '), '|', read(buys, user) or '', '|', read(sells, user) or '', '|', read(history, user) or '', '|', int(at), '|', int(pending_valid)})
end

local at_quote = {QUOTE = true, BUY = true, SELL = true, SET_BUY_TRIGGER = true, SET_SELL_AMOUNT = true, SET_SELL_TRIGGER = true}

-- What a session's last command was answered. Of a user the newest sessions are kept.
-- A reply begins with its number in the session; session is the field of user and session.
local function answered(session, n)
  local before = read(sessions, session)
  local last = before and tonumber(string.match(before, '^%d+'))
  if not last or n > last then return nil end
  return n == last and before or 'overtaken'
end
local function answer(user, session, reply)
  if not read(sessions, session) then
    local kept, list = {string.match(session, '[^ ]+$')}, read(sessions, user) or ''
    for other in string.gmatch(list, '[^ ]+') do
      if #kept < ${MAX_SESSIONS} then kept[#kept + 1] = other
      else
        redis.call('HDEL', KEYS[9], user .. ' ' .. other)
        sessions.known[user .. ' ' .. other], sessions.changed[user .. ' ' .. other] = false, nil
      end
    end
    write(sessions, user, table.concat(kept, ' '))
  end
  write(sessions, session, reply)
end

-- What the commands will want to know, each kind in one look.
local piles = {BUY = buys, COMMIT_BUY = buys, CANCEL_BUY = buys, SELL = sells, COMMIT_SELL = sells, CANCEL_SELL = sells}
local leaves_history = {${Object.entries(HISTORY_CODES)
  .map(([name, code]) => `${name} = '${code}'`)
  .join(", ")}}
local wanted = {}
local function want(of, field)
  local fields = wanted[of]
  if fields then fields[#fields + 1] = field else wanted[of] = {field} end
end
for i = 1, #batch, ${COLUMNS} do
  local name, user, symbol, session = batch[i], batch[i + 1], batch[i + 2], batch[i + 6]
  want(balances, user)
  if session ~= '' then want(sessions, session) end
  if name == 'DISPLAY_SUMMARY' then
    for _, of in ipairs({symbols, buys, sells, history}) do want(of, user) end
  else
    if piles[name] then want(piles[name], user) end
    if leaves_history[name] then want(history, user) end
    if symbol ~= '' and name ~= 'QUOTE' and name ~= 'BUY' then want(packed_positions, user .. ' ' .. symbol) end
  end
end
for of, fields in pairs(wanted) do fetch(of, fields) end
for user, value in pairs(balances.known) do balances.known[user] = value and tonumber(value) end

local function run(name, user, symbol, cents, price, time, session, n, more)
  local once = session ~= ''
  local refusal, said = more ~= 0 and more.refusal or nil
  if once then
    local before = answered(session, n)
    if before == 'overtaken' then refusal, once = 'COMMAND_OVERTAKEN', false
    elseif before then return before end
  end
  local transaction, shares, of, amount, fire = next_transaction()
  moved = ''
  if not refusal then
    if not balance_of(user) and name ~= 'ADD' and name ~= 'DUMPLOG' then refusal = 'USER_UNKNOWN'
    elseif at_quote[name] and (price <= 0 or at - time > quote_valid) then refusal = 'QUOTE_UNAVAILABLE'
    else refusal, said, shares, of, amount, fire = commands[name](user, symbol, cents, price, time, transaction) end
  end
  event(user, string.format('c,%d,%s,%s,%s,%d,%s,%s%s', transaction, name, user, symbol, cents, more ~= 0 and more.file or '', refusal or '', moved))
  local paid = more ~= 0 and more.paid
  if paid then event(user, string.format('q,%d,%s,%s,%d,%d,%s', transaction, paid.user, paid.symbol, paid.priceCents, paid.quoteTimeMs, paid.cryptokey)) end
  local reply
  if refusal then reply = string.format('%d %d ', n, transaction) .. refusal
  else
    if shares then remember(user, transaction, leaves_history[name], of or symbol, amount or cents, shares) end
    local fired = fire and fire(user, symbol, position_of(user, symbol), price)
    if fire ~= nil then said = 'f' .. (fired and int(fired) or '0') end
    local balance = balance_of(user)
    if not balance then reply = string.format('%d %d ${DONE}%s', n, transaction, said)
    elseif said == '' then reply = string.format('%d %d ${DONE}b%d', n, transaction, balance)
    else reply = string.format('%d %d ${DONE}%s,b%d', n, transaction, said, balance) end
  end
  if once then answer(user, session, reply) end
  return reply
end

local replies = {}
for i = 1, #batch, ${COLUMNS} do
  replies[#replies + 1] = run(batch[i], batch[i + 1], batch[i + 2], batch[i + 3], batch[i + 4], batch[i + 5], batch[i + 6], batch[i + 7], batch[i + 8])
end
finish()
return table.concat(replies, '\\n')
`;

/**
 * Replies a text each, in their order: the transaction's number, a blank, and
 * either a refusal's code or what `expandReply` puts into words.
 */
export const executeCommands: Script<ExecuteArgs, readonly string[]> = {
  name: "execute-commands",
  lua,
  keys: deskStateKeys,
  args: (args) => {
    const flat: unknown[] = [];
    for (const each of args.commands) {
      const { name, user, symbol, cents, priceCents, quoteTimeMs, session, n, more } = each;
      const once = session === "" || user === "" ? "" : `${user} ${session}`;
      flat.push(name, user, symbol, cents, priceCents, quoteTimeMs, once, n, more ?? 0);
    }
    return [...deskCallArgs(args), String(args.pendingValidMs), JSON.stringify(flat)];
  },
  reply(raw, { commands }) {
    const replies = asText(raw).split("\n");
    if (replies.length !== commands.length) throw new TypeError("not a reply for each command");
    // Each begins with the sender's number, which a session remembers with it.
    return replies.map((reply) => reply.slice(reply.indexOf(" ") + 1));
  },
};
