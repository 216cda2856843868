/**
 * Deletes the rows of followers who left long ago, shard by shard, once no job can
 * name a version of the roster that includes them.
 */
import type { ChannelId } from "../../../domain/ids.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { parseRoute } from "../../../redis/route.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "./projector.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface PruneArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  readonly shard: number;
  /** The version that the channel's route names now. */
  readonly routed: number;
  /** How long after its acceptance a signal may still be copied. */
  readonly keptMs: number;
}

const pruneLua = `
${LUA_NOW}
local now = now_ms()
local shard_rows, removed = roster .. ':' .. shard, 0
local below, noted_at = string.match(redis.call('HGET', roster, 'noted:' .. shard) or '', '^(%d+),(%d+)$')
if below and now - tonumber(noted_at) < tonumber(kept_ms) then return 0 end
if below then
  below = tonumber(below)
  local flat = redis.call('HGETALL', shard_rows)
  for i = 1, #flat, 2 do
    local version, found, payload = string.match(flat[i + 1], '^%[(%d+),%[([%d,]*)%],(.*)%]$')
    local turns, first = {}, 1
    -- The check rewrites a row that cannot be read, and it is deleted later.
    for turn in string.gmatch(found or '', '%d+') do turns[#turns + 1] = turn end
    while turns[first + 1] and tonumber(turns[first + 1]) <= below do first = first + 2 end
    if found and first > #turns then
      redis.call('HDEL', shard_rows, flat[i])
      redis.call('HDEL', shards, flat[i])
      removed = removed + 1
    elseif first > 1 then
      redis.call('HSET', shard_rows, flat[i], string.format('[%s,[%s],%s]', version, table.concat(turns, ',', first), payload))
    end
  end
end
redis.call('HSET', roster, 'noted:' .. shard, string.format('%s,%d', routed, now))
return removed
`;

/**
 * Deletes the joins and leaves that no job can name any more, and rows that have
 * none left. It notes the version that the route names. Once that note is `keptMs`
 * old, every job that named an older version is over. Replies how many rows were
 * deleted.
 */
export const prune = defineScript<PruneArgs, number>({
  name: "prune",
  lua: pruneLua,
  keys: {
    roster: ({ partition, channel, broker }) =>
      new RegionKeys(partition).rosterHead(channel, broker),
    shards: ({ partition, channel, broker }) =>
      new RegionKeys(partition).rosterSeats(channel, broker),
  },
  args: {
    shard: ({ shard }) => shard,
    routed: ({ routed }) => routed,
    kept_ms: ({ keptMs }) => keptMs,
  },
  reply: asInteger,
});

/** Returns how many rows were deleted. */
export async function pruneRosters(
  { home, regions, partitions }: Targets,
  channel: ChannelId,
  keptMs = ANSWER_TTL_MS,
): Promise<number> {
  const key = new HomeKeys(partitions.ofChannel(channel)).routes(channel);
  const stored = (await home.send("HGETALL", [key])) as Record<string, string>;
  let pruned = 0;
  for (const [field, value] of Object.entries(stored)) {
    const { region, broker, partition, shard, version: routed } = parseRoute(field, value);
    const redis = regions.get(region);
    if (!redis) continue;
    pruned += await run(redis, prune, { partition, broker, channel, shard, routed, keptMs });
  }
  return pruned;
}
