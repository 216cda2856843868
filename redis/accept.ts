/**
 * Acceptance: one atomic step on a home partition. A signal is either refused
 * with a reason and leaves no trace, or it has its place in the channel's log,
 * its snapshot of routes, its entry for the dispatcher and its answer kept for
 * whoever repeats the idempotency key. Nothing is taken that would only wait:
 * a partition whose backlog is full refuses. The clock is that of the home Redis.
 */
import type { ErrorCode } from "../domain/error-codes.ts";
import type { PersonId, SignalId } from "../domain/ids.ts";
import { canonicalBody, type AcceptedSignal, type Signal } from "../domain/signal.ts";
import type { HomeKeys } from "./keys.ts";
import { parseRoutes, type Route } from "./route.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";

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

export interface AcceptArgs {
  readonly id: SignalId;
  readonly home: HomeKeys;
  readonly signal: Signal;
  readonly sender: PersonId;
  readonly idempotencyKey: string;
  /** Hex SHA-256 of `canonicalBody(signal)`. */
  readonly bodySha256: string;
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
      readonly routes: Route[];
    }
  | { readonly kind: "repeated"; readonly acceptance: Acceptance }
  | { readonly kind: "refused"; readonly code: ErrorCode };

const lua = `
${LUA_NOW}
local signal = cjson.decode(ARGV[2])
local sender, body_hash, ttl = ARGV[3], ARGV[4], ARGV[5]
local answered = redis.call('GET', KEYS[1])
if answered then
  local answer = cjson.decode(answered)
  if answer.hash ~= body_hash then return {'refused', 'IDEMPOTENCY_CONFLICT'} end
  return {'repeated', answer.id, answer.sequence, answer.acceptedAtMs, answer.followers}
end

local settings = redis.call('HGET', KEYS[2], 'settings')
local granted = redis.call('HGET', KEYS[3], sender)
if not settings or not granted then return {'refused', 'GRANT_MISSING'} end
local channel, grant = cjson.decode(settings), cjson.decode(granted)

local drained
for _, state in ipairs(redis.call('HMGET', KEYS[4], 'platform', 'channel:' .. signal.channel, 'provider:' .. channel.provider)) do
  if state == 'halt' then return {'refused', 'TRADING_HALTED'} end
  drained = drained or state
end
-- Every signal of today opens. A close, once there is one, goes past a drain.
if drained then return {'refused', 'TRADING_DRAINED'} end

local function includes(list, wanted)
  for _, each in ipairs(list) do if each == wanted then return true end end
  return false
end
local now = now_ms()
if not includes(channel.symbols, signal.symbol) then return {'refused', 'SYMBOL_UNKNOWN'} end
if grant.symbols and not includes(grant.symbols, signal.symbol) then return {'refused', 'GRANT_SYMBOL'} end
if grant.maxStakeCents and signal.stakeCents > grant.maxStakeCents then return {'refused', 'GRANT_STAKE'} end
if grant.hours then
  local minute = math.floor(now / 60000) % 1440
  local from, to = grant.hours.fromMinute, grant.hours.toMinute
  local inside
  if from <= to then inside = minute >= from and minute < to
  else inside = minute >= from or minute < to end
  if not inside then return {'refused', 'GRANT_HOURS'} end
end

if redis.call('ZCARD', KEYS[8]) >= ${MAX_UNDISPATCHED} or redis.call('XLEN', KEYS[7]) >= ${MAX_SIGNALS_LOGGED} then
  return {'refused', 'BACKLOG_FULL'}
end

local routes = redis.call('HGETALL', KEYS[5])
local followers = 0
for i = 2, #routes, 2 do
  followers = followers + tonumber(string.match(routes[i], ',(%d+)$'))
end
local id = ARGV[1]
local sequence = redis.call('HINCRBY', KEYS[2], 'sequence', 1)
local accepted = {
  id = id, sender = sender, provider = channel.provider, sequence = sequence,
  acceptedAtMs = now, deadlineMs = now + channel.deadlineMs,
  channel = signal.channel, symbol = signal.symbol, contract = signal.contract,
  stakeCents = signal.stakeCents, durationSeconds = signal.durationSeconds,
}
local accepted_json = cjson.encode(accepted)
redis.call('HSET', KEYS[6], 'signal', accepted_json, 'routes', cjson.encode(routes), 'followers', followers)
redis.call('PEXPIRE', KEYS[6], ${ANSWER_TTL_MS})
redis.call('XADD', KEYS[7], '*', 'signal', accepted_json, 'sha256', body_hash, 'followers', followers)
redis.call('ZADD', KEYS[8], now, id)
redis.call('SET', KEYS[1], cjson.encode({hash = body_hash, id = id, sequence = sequence, acceptedAtMs = now, followers = followers}), 'PX', ttl)
return {'accepted', id, sequence, now, followers, accepted_json, routes}
`;

export const accept: Script<AcceptArgs, AcceptReply> = {
  name: "accept",
  lua,
  keys: ({ home, id, signal, sender, idempotencyKey }) => [
    home.answer(signal.channel, sender, idempotencyKey),
    home.channel(signal.channel),
    home.grants(signal.channel),
    home.halts,
    home.routes(signal.channel),
    home.signal(id),
    home.signals,
    home.undispatched,
  ],
  args: ({ id, signal, sender, bodySha256, answerTtlMs = ANSWER_TTL_MS }) => [
    id,
    canonicalBody(signal),
    sender,
    bodySha256,
    String(answerTtlMs),
  ],
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
};
