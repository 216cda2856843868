/**
 * How many orders a second all workers of a region together may send to a
 * broker: a bucket that fills at the broker's rate and holds a second of it.
 * Workers take from it in slices, so that not every send asks Redis.
 */
import { asInteger, asList, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface LeaseArgs {
  readonly broker: string;
  readonly ordersPerSecond: number;
  readonly wanted: number;
}

export interface LeaseReply {
  /** As many as there were, at most what was wanted. */
  readonly granted: number;
  /** Until there is another one. */
  readonly waitMs: number;
}

/** HASH: `tokens`, `at` (epoch ms). It belongs to all partitions, so it has a slot of its own. */
export function rateKey(broker: string): string {
  return `rate:{${broker}}`;
}

const lua = `
${LUA_NOW}
local rate, wanted, now = tonumber(ARGV[1]), tonumber(ARGV[2]), now_ms()
local full = math.max(rate, 1)
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = full
if stored[1] then
  tokens = math.min(full, tonumber(stored[1]) + math.max(now - tonumber(stored[2]), 0) * rate / 1000)
end
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%d', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(full / rate * 1000) + 1000)
return {granted, math.ceil(math.max(1 - tokens, 0) * 1000 / rate)}
`;

export const lease: Script<LeaseArgs, LeaseReply> = {
  name: "lease",
  lua,
  keys: ({ broker }) => [rateKey(broker)],
  args: ({ ordersPerSecond, wanted }) => [String(ordersPerSecond), String(wanted)],
  reply(raw) {
    const [granted = 0, waitMs = 0] = asList(raw).map(asInteger);
    return { granted, waitMs };
  },
};
