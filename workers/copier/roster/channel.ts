/** A channel's settings and grants, stored in its home partition and read at acceptance. */
import type { Channel } from "../../../domain/copier/channel.ts";
import type { Grant } from "../../../domain/copier/grant.ts";
import type { PersonId } from "../../../domain/ids.ts";
import type { HomeKeys } from "../../../redis/keys.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";

export interface ProjectChannelArgs {
  readonly home: HomeKeys;
  readonly channel: Channel;
  readonly grants: Readonly<Record<PersonId, Grant>>;
}

const projectChannelLua = `
local known = tonumber(redis.call('HGET', channel, 'version') or '0')
if tonumber(version) <= known then return 0 end
redis.call('HSET', channel, 'version', version, 'settings', settings)
redis.call('DEL', grants)
for person, grant in rows() do redis.call('HSET', grants, person, grant) end
return 1
`;

/**
 * Replaces a channel's settings and grants if they are newer. Its sequence and
 * routes do not change.
 */
export const projectChannel = defineScript<ProjectChannelArgs, boolean>({
  name: "project-channel",
  lua: projectChannelLua,
  keys: {
    channel: ({ home, channel }) => home.channel(channel.id),
    grants: ({ home, channel }) => home.grants(channel.id),
  },
  args: {
    version: ({ channel }) => channel.version,
    settings: ({ channel: { provider, symbols, deadlineMs } }) =>
      JSON.stringify({ provider, symbols, deadlineMs }),
  },
  rest: ({ grants }) =>
    Object.entries(grants).flatMap(([person, grant]) => [person, JSON.stringify(grant)]),
  columns: ["person", "grant"],
  reply: (raw) => asInteger(raw) === 1,
});
