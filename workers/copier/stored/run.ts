/**
 * The time since which a partition's data belong to the Redis that runs now. A
 * restarted Redis may have lost its last moments, a replica that took over may not
 * have received the last writes, and a flushed one lost everything until it was
 * filled again. So anything older than the run may be missing there.
 */

import { LUA_REGION_FILLED_SINCE } from "../../../redis/filled.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

/**
 * `run_since(key, header)`: epoch milliseconds; the keys are the partition's `run`
 * and `header`. The run of a started server begins at its start, that of a replica
 * which took over when it is first asked here, and that of a flushed server when
 * its filling began, because a flush does not change the server's id.
 */
export const LUA_RUN_SINCE = `
${LUA_REGION_FILLED_SINCE}
local function info(section)
  local reply = redis.pcall('INFO', section)
  return type(reply) == 'string' and reply or ''
end
local function run_since(key, header)
  local filled = filled_since(header)
  -- Not filled: any data may have been here.
  if not filled then return now_ms() end
  local server = info('server')
  local run = string.match(server, 'run_id:(%x+)')
  if not run then return tonumber(filled) end
  local known, since = unpack(redis.call('HMGET', key, 'id', 'sinceMs'))
  if known ~= run then
    since = now_ms()
    local replica_of = string.match(info('replication'), 'master_replid2:(%x+)')
    if replica_of and not string.match(replica_of, '[^0]') then
      since = since - tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '0') * 1000
    end
    redis.call('HSET', key, 'id', run, 'sinceMs', string.format('%d', since))
  end
  return math.max(tonumber(since), tonumber(filled))
end
`;

/** The time since which the partition's Redis runs, epoch milliseconds. */
export const runSince = defineScript<{ readonly partition: number }, number>({
  name: "run-since",
  lua: `${LUA_NOW}${LUA_RUN_SINCE}return string.format('%d', run_since(run, header))`,
  keys: {
    run: ({ partition }) => new RegionKeys(partition).run,
    header: ({ partition }) => new RegionKeys(partition).header,
  },
  reply: asInteger,
});

/** How much the clocks of a home and a region Redis may differ. */
export const CLOCK_SKEW_MS = 1_000;
