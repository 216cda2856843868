/** What the home worker that completes cut-off dispatches reads and writes. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "../../../redis/script.ts";
import type { HomeKeys } from "../../../redis/keys.ts";

export interface OverdueArgs {
  readonly home: HomeKeys;
  /** How long the edge that accepted a signal is given to dispatch it itself. */
  readonly graceMs: number;
  /** How many of the oldest to leave out: those that were tried a moment ago. */
  readonly skip: number;
  readonly limit: number;
}

export interface Overdue {
  /** The oldest but for those skipped; fewer than the limit where there are no more. */
  readonly oldest: SignalId[];
  /** Where more than these are overdue, the newest: they may yet be in time. */
  readonly newest: SignalId[];
}

const lua = `
${LUA_NOW}
local before = string.format('%d', now_ms() - tonumber(ARGV[1]))
local oldest = redis.call('ZRANGE', KEYS[1], '-inf', before, 'BYSCORE', 'LIMIT', ARGV[2], ARGV[3])
if ARGV[2] == '0' and #oldest < tonumber(ARGV[3]) then return {oldest, {}} end
return {oldest, redis.call('ZRANGE', KEYS[1], before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[3])}
`;

/** Accepted signals that not every region has confirmed, from both ends. */
export const overdue: Script<OverdueArgs, Overdue> = {
  name: "overdue",
  lua,
  keys: ({ home }) => [home.undispatched],
  args: ({ graceMs, skip, limit }) => [graceMs, skip, limit].map(String),
  reply(raw) {
    const [oldest, newest] = asList(raw).map((ids) =>
      asList(ids).map((id) => asText(id) as SignalId),
    );
    return { oldest: oldest ?? [], newest: newest ?? [] };
  },
};

export interface LinkArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  /** The head that the first link was made on, as it was read; null for the channel's first. */
  readonly head: string | null;
  readonly newHead: string;
  readonly links: readonly EntryLink[];
}

export interface EntryLink {
  /** JSON of the link. */
  readonly link: string;
  /** The signal's entry. */
  readonly entry: string;
}

const linkLua = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
for i = 3, #ARGV, 2 do
  redis.call('XADD', KEYS[2], '*', 'link', ARGV[i])
  redis.call('XACK', KEYS[3], 'chain', ARGV[i + 1])
end
return 1
`;

/**
 * Moves a channel's chain on by links that follow each other and acknowledges
 * their signals' entries. Replies false, and changes nothing, where the chain has moved since
 * its head was read.
 */
export const link: Script<LinkArgs, boolean> = {
  name: "link",
  lua: linkLua,
  keys: ({ home, channel }) => [home.chainHead(channel), home.links, home.signals],
  args: ({ head, newHead, links }) => [
    ...[head ?? "", newHead],
    ...links.flatMap((each) => [each.link, each.entry]),
  ],
  reply: (raw) => asInteger(raw) === 1,
};
