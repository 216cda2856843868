/**
 * Raises a shard that is below the version of its route, if no further change will
 * arrive, so that waiting jobs continue.
 */
import type { ChannelId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface RaiseShardArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  readonly shard: number;
  /** The version that its route names. */
  readonly routed: number;
}

const lua = `
${LUA_NOW}
local stored = redis.call('HMGET', roster, 'version:' .. shard, 'count:' .. shard)
local version, count = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
if version < tonumber(routed) then
  local last = tonumber(redis.call('HGET', roster, 'version') or '0')
  version = math.max(last + 1, now_ms(), tonumber(routed) + 1)
  local text = string.format('%d', version)
  redis.call('HSET', roster, 'version', text, 'version:' .. shard, text, 'count:' .. shard, count)
end
return {version, count}
`;

/** Replies the version and the count of the shard after the change. */
export const raiseShard = defineScript<
  RaiseShardArgs,
  { readonly version: number; readonly count: number }
>({
  name: "raise-shard",
  lua,
  keys: {
    roster: ({ partition, channel, broker }) =>
      new RegionKeys(partition).rosterHead(channel, broker),
  },
  args: {
    shard: ({ shard }) => shard,
    routed: ({ routed }) => routed,
  },
  reply(raw) {
    const [version = 0, count = 0] = asList(raw).map(asInteger);
    return { version, count };
  },
});
