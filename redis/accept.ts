/**
 * Acceptance: one atomic step on a home partition. A signal is either refused
 * with a reason and leaves no trace, or it has its place in the channel's log,
 * its snapshot of routes, its entry for the dispatcher and its answer kept for
 * whoever repeats the idempotency key. Nothing is taken that would only wait:
 * a partition whose backlog is full refuses, and so does one that is not filled
 * from the records. The clock is that of the home Redis.
 *
 * A close takes, in the same step, the ids of the signals that it closes: what
 * it means is fixed by then. Neither a halt nor a drain refuses it, nor do the
 * limits of a grant that are about opening, and it finds room for as much again
 * where a backlog is full for what opens.
 */
import type { ErrorCode } from "../domain/error-codes.ts";
import type { PersonId, SignalId } from "../domain/ids.ts";
import {
  canonicalBody,
  openForMs,
  openUntilMs,
  type AcceptedOpen,
  type AcceptedSignal,
  type Signal,
} from "../domain/copier/signal.ts";
import { MAX_DURATION_SECONDS } from "../domain/products/binary.ts";
import { LUA_HOME_FILLED_SINCE } from "./filled.ts";
import type { HomeKeys } from "./keys.ts";
import { parseRoutes, type Route } from "./route.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "./script.ts";

/** How long an idempotency key is remembered, and a signal can be asked for in Redis. */
export const ANSWER_TTL_MS = 24 * 60 * 60 * 1000;

/**
 * What a home partition holds before it takes no more. A signal waits among
 * the undispatched for milliseconds, or as long as a region is away: this many
 * are ten seconds of a full load, and each of them is past its deadline by then.
 */
export const MAX_UNDISPATCHED = 5_000;
/**
 * The log waits for the recorder, which may stand still for long without
 * hurting a trade: at about 700 bytes an entry this is 180 MB, and eight
 * minutes of a full load on one partition.
 */
export const MAX_SIGNALS_LOGGED = 250_000;

/** What one close takes. More than this are closed one by one. */
const MAX_CLOSED = 1_000;

/** As who the house closes what is open: it needs no grant. */
export const HOUSE = "house" as PersonId;

/** How long what is known of a signal is kept: an answer's time longer than anything of it may be open. */
export function keptMs(signal: AcceptedOpen): number {
  return ANSWER_TTL_MS + openUntilMs(signal) - signal.acceptedAtMs;
}

export interface AcceptArgs {
  readonly id: SignalId;
  readonly home: HomeKeys;
  readonly signal: Signal;
  readonly sender: PersonId;
  readonly idempotencyKey: string;
  /** Hex SHA-256 of `canonicalBody(signal)`. */
  readonly bodySha256: string;
  /** Whether the house itself sends it, see `HOUSE`. */
  readonly isHouse?: boolean;
  /** For hooks without a delivery id: how long the same body counts as the same delivery. */
  readonly answerTtlMs?: number;
}

/** What an acceptance answers, the first time and at each repetition. */
export interface Acceptance {
  readonly id: SignalId;
  readonly sequence: number;
  readonly acceptedAtMs: number;
  readonly followers: number;
}

export type AcceptReply =
  | {
      readonly kind: "accepted";
      readonly acceptance: Acceptance;
      readonly signal: AcceptedSignal;
      /** Of a close: where its copies are, all of a partition as one. */
      readonly routes: Route[];
    }
  | { readonly kind: "repeated"; readonly acceptance: Acceptance }
  | { readonly kind: "refused"; readonly code: ErrorCode };

const lua = `
${LUA_NOW}
${LUA_HOME_FILLED_SINCE}
if not filled_since(header) then return {'refused', 'STORE_UNFILLED'} end
local signal, is_house = cjson.decode(body), house == '1'
local is_close = signal.action == 'close'
local answered = redis.call('GET', answer_key)
if answered then
  local answer = cjson.decode(answered)
  if answer.hash ~= body_hash then return {'refused', 'IDEMPOTENCY_CONFLICT'} end
  return {'repeated', answer.id, answer.sequence, answer.acceptedAtMs, answer.followers}
end

local settings = redis.call('HGET', channel_key, 'settings')
local granted = is_house and '{}' or redis.call('HGET', grants, sender)
if not settings or not granted then return {'refused', 'GRANT_MISSING'} end
local channel, grant = cjson.decode(settings), cjson.decode(granted)

-- A close passes a drain; under a halt it is kept, and held where it would leave.
local drained
for _, state in ipairs(is_close and {} or redis.call('HMGET', halts, 'platform', 'channel:' .. signal.channel, 'provider:' .. channel.provider)) do
  if state == 'halt' then return {'refused', 'TRADING_HALTED'} end
  drained = drained or state
end
if drained then return {'refused', 'TRADING_DRAINED'} end

local function includes(list, wanted)
  for _, each in ipairs(list) do if each == wanted then return true end end
  return false
end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', open, '-inf', string.format('%d', now))
local closes
if is_close then
  if signal.signal then
    local target = redis.call('HGET', target_key, 'signal')
    target = target and cjson.decode(target)
    if not target or target.action == 'close' or target.channel ~= signal.channel then return {'refused', 'SIGNAL_UNKNOWN'} end
    signal.symbol = target.symbol
  end
  closes = {}
  for _, member in ipairs(redis.call('ZRANGE', open, 0, -1)) do
    local symbol, opened, places = string.match(member, '^(%S+) (%S+) (.*)$')
    if (not signal.symbol or symbol == signal.symbol) and (not signal.signal or opened == signal.signal) then
      closes[#closes + 1] = {opened, places}
    end
  end
  if #closes > ${MAX_CLOSED} then return {'refused', 'CLOSE_TOO_LARGE'} end
end
-- What the channel no longer trades can still be closed.
if not (closes and (#closes > 0 or not signal.symbol or signal.signal)) and not includes(channel.symbols, signal.symbol) then return {'refused', 'SYMBOL_UNKNOWN'} end
if grant.symbols and not includes(grant.symbols, signal.symbol) then return {'refused', 'GRANT_SYMBOL'} end
if not is_close and grant.maxStakeCents and signal.stakeCents > grant.maxStakeCents then return {'refused', 'GRANT_STAKE'} end
if not is_close and grant.hours then
  local minute = math.floor(now / 60000) % 1440
  local from, to = grant.hours.fromMinute, grant.hours.toMinute
  local inside
  if from <= to then inside = minute >= from and minute < to
  else inside = minute >= from or minute < to end
  if not inside then return {'refused', 'GRANT_HOURS'} end
end

local headroom = is_close and 2 or 1
if redis.call('ZCARD', undispatched) >= ${MAX_UNDISPATCHED} * headroom or redis.call('XLEN', signals) >= ${MAX_SIGNALS_LOGGED} * headroom then
  return {'refused', 'BACKLOG_FULL'}
end

local followers = 0
-- How many copies are where, region/broker/partition by one, in the order in which they were met.
local places, counts = {}, {}
local function count(place, copies)
  if not counts[place] then
    counts[place] = 0
    places[#places + 1] = place
  end
  counts[place] = counts[place] + copies
  followers = followers + copies
end
local routes, ids = {}, {}
if is_close then
  for _, closed in ipairs(closes) do
    local before = followers
    if signal.copies then
      for _, copy in ipairs(signal.copies) do count(copy.region .. '/' .. copy.broker .. '/' .. copy.partition, 1) end
    else
      for place, broker, copies in string.gmatch(closed[2], '([^/;]+/([^/;]+)/%d+)=(%d+);') do
        if not signal.broker or broker == signal.broker then count(place, tonumber(copies)) end
      end
    end
    if followers > before then ids[#ids + 1] = closed[1] end
  end
  for _, place in ipairs(places) do
    routes[#routes + 1] = place .. '/0'
    routes[#routes + 1] = '0,' .. string.format('%d', counts[place])
  end
else
  routes = redis.call('HGETALL', routes_key)
  for i = 1, #routes, 2 do
    count(string.match(routes[i], '^(.*)/%d+$'), tonumber(string.match(routes[i + 1], ',(%d+)$')))
  end
end
local sequence = redis.call('HINCRBY', channel_key, 'sequence', 1)
local accepted = {
  id = id, sender = sender, provider = channel.provider, sequence = sequence, acceptedAtMs = now,
  channel = signal.channel, symbol = signal.symbol,
}
local open_ms = 0
if is_close then
  accepted.action, accepted.signal, accepted.broker, accepted.copies, accepted.closes = 'close', signal.signal, signal.broker, signal.copies, ids
else
  accepted.deadlineMs, accepted.contract = now + channel.deadlineMs, signal.contract
  accepted.stakeCents, accepted.durationSeconds = signal.stakeCents, signal.durationSeconds
  open_ms = channel.deadlineMs + signal.durationSeconds * 1000 + ${openForMs(0)}
  local where = {}
  for i, place in ipairs(places) do where[i] = place .. '=' .. string.format('%d', counts[place]) .. ';' end
  redis.call('ZADD', open, string.format('%d', now + open_ms), signal.symbol .. ' ' .. id .. ' ' .. table.concat(where))
  redis.call('PEXPIRE', open, channel.deadlineMs + ${openForMs(MAX_DURATION_SECONDS)})
  redis.call('SADD', opening, signal.channel)
end
-- An empty list would be spelled as an empty object.
local accepted_json = string.gsub(cjson.encode(accepted), '"closes":{}', '"closes":[]')
redis.call('HSET', signal_key, 'signal', accepted_json, 'routes', cjson.encode(routes), 'followers', followers)
redis.call('PEXPIRE', signal_key, string.format('%d', ${ANSWER_TTL_MS} + open_ms))
redis.call('XADD', signals, '*', 'signal', accepted_json, 'sha256', body_hash, 'followers', followers)
redis.call('ZADD', undispatched, now, id)
redis.call('SET', answer_key, cjson.encode({hash = body_hash, id = id, sequence = sequence, acceptedAtMs = now, followers = followers}), 'PX', ttl)
return {'accepted', id, sequence, now, followers, accepted_json, routes}
`;

export const accept = defineScript<AcceptArgs, AcceptReply>({
  name: "accept",
  lua,
  keys: {
    answer_key: ({ home, signal, sender, idempotencyKey }) =>
      home.answer(signal.channel, sender, idempotencyKey),
    channel_key: ({ home, signal }) => home.channel(signal.channel),
    grants: ({ home, signal }) => home.grants(signal.channel),
    halts: ({ home }) => home.halts,
    routes_key: ({ home, signal }) => home.routes(signal.channel),
    signal_key: ({ home, id }) => home.signal(id),
    signals: ({ home }) => home.signals,
    undispatched: ({ home }) => home.undispatched,
    open: ({ home, signal }) => home.open(signal.channel),
    opening: ({ home }) => home.opening,
    target_key: ({ home, id, signal }) =>
      home.signal((signal.action === "close" ? signal.signal : undefined) ?? id),
    header: ({ home }) => home.header,
  },
  args: {
    id: ({ id }) => id,
    body: ({ signal }) => canonicalBody(signal),
    sender: ({ sender }) => sender,
    body_hash: ({ bodySha256 }) => bodySha256,
    ttl: ({ answerTtlMs = ANSWER_TTL_MS }) => answerTtlMs,
    house: ({ isHouse = false }) => (isHouse ? 1 : 0),
  },
  reply(raw) {
    const [kind, ...rest] = asList(raw);
    if (kind === "refused") return { kind, code: asText(rest[0]) as ErrorCode };
    const acceptance: Acceptance = {
      id: asText(rest[0]) as SignalId,
      sequence: asInteger(rest[1]),
      acceptedAtMs: asInteger(rest[2]),
      followers: asInteger(rest[3]),
    };
    if (kind === "repeated") return { kind, acceptance };
    return {
      kind: "accepted",
      acceptance,
      signal: JSON.parse(asText(rest[4])) as AcceptedSignal,
      routes: parseRoutes(asList(rest[5]).map(asText)),
    };
  },
});
