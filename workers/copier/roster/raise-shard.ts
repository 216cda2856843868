/** A shard below the version that its route names, with nothing more to come: it is raised above it, so that waiting jobs go on. */
import type { ChannelId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, asList, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface RaiseShardArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  readonly shard: number;
  /** What its route names. */
  readonly routed: number;
}

const lua = `
${LUA_NOW}
local head = redis.call('HMGET', KEYS[1], 'version:' .. ARGV[1], 'count:' .. ARGV[1])
local version, count = tonumber(head[1] or '0'), tonumber(head[2] or '0')
if version < tonumber(ARGV[2]) then
  local last = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
  version = math.max(last + 1, now_ms(), tonumber(ARGV[2]) + 1)
  local text = string.format('%d', version)
  redis.call('HSET', KEYS[1], 'version', text, 'version:' .. ARGV[1], text, 'count:' .. ARGV[1], count)
end
return {version, count}
`;

/** Replies the version and the count that the shard has afterwards. */
export const raiseShard: Script<
  RaiseShardArgs,
  { readonly version: number; readonly count: number }
> = {
  name: "raise-shard",
  lua,
  keys: ({ partition, channel, broker }) => [new RegionKeys(partition).rosterHead(channel, broker)],
  args: ({ shard, routed }) => [String(shard), String(routed)],
  reply(raw) {
    const [version = 0, count = 0] = asList(raw).map(asInteger);
    return { version, count };
  },
};
