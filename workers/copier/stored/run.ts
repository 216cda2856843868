/**
 * Since when a partition's data are of the Redis that runs now. One that was
 * restarted may have lost its last moments, a replica that took over those it
 * was not sent yet: whatever is older than the run may be missing there.
 */

import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

/**
 * `run_since(key)`: epoch milliseconds; the key is the partition's `run`. A
 * server that was started is known since its start; one that took over, since
 * this was first asked. 0 where a Redis does not tell who it is.
 */
export const LUA_RUN_SINCE = `
local function info(section)
  local told = redis.pcall('INFO', section)
  return type(told) == 'string' and told or ''
end
local function run_since(key)
  local server = info('server')
  local run = string.match(server, 'run_id:(%x+)')
  if not run then return 0 end
  local known, since = unpack(redis.call('HMGET', key, 'id', 'sinceMs'))
  if known ~= run then
    since = now_ms()
    local replica_of = string.match(info('replication'), 'master_replid2:(%x+)')
    if replica_of and not string.match(replica_of, '[^0]') then
      since = since - tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '0') * 1000
    end
    redis.call('HSET', key, 'id', run, 'sinceMs', string.format('%d', since))
  end
  return tonumber(since)
end
`;

/** Since when the partition's Redis runs, epoch milliseconds. */
export const runSince = defineScript<{ readonly partition: number }, number>({
  name: "run-since",
  lua: `${LUA_NOW}${LUA_RUN_SINCE}return string.format('%d', run_since(run))`,
  keys: { run: ({ partition }) => new RegionKeys(partition).run },
  reply: asInteger,
});

/** By how much the clocks of a home and a region Redis may differ. */
export const CLOCK_SKEW_MS = 1_000;
