/** A channel's settings and grants, as its home partition holds them for the acceptance. */
import type { Channel } from "../../../domain/copier/channel.ts";
import type { Grant } from "../../../domain/copier/grant.ts";
import type { PersonId } from "../../../domain/ids.ts";
import type { HomeKeys } from "../../../redis/keys.ts";
import { asInteger, type Script } from "../../../redis/script.ts";

export interface ProjectChannelArgs {
  readonly home: HomeKeys;
  readonly channel: Channel;
  readonly grants: Readonly<Record<PersonId, Grant>>;
}

const projectChannelLua = `
local known = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if tonumber(ARGV[1]) <= known then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'settings', ARGV[2])
redis.call('DEL', KEYS[2])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`;

/** Replaces a channel's settings and grants, if newer; its sequence and routes stay. */
export const projectChannel: Script<ProjectChannelArgs, boolean> = {
  name: "project-channel",
  lua: projectChannelLua,
  keys: ({ home, channel }) => [home.channel(channel.id), home.grants(channel.id)],
  args: ({ channel, grants }) => [
    String(channel.version),
    JSON.stringify({
      provider: channel.provider,
      symbols: channel.symbols,
      deadlineMs: channel.deadlineMs,
    }),
    ...Object.entries(grants).flatMap(([person, grant]) => [person, JSON.stringify(grant)]),
  ],
  reply: (raw) => asInteger(raw) === 1,
};
