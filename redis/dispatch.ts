/** What the home worker that completes cut-off dispatches reads and writes. */
import type { ChannelId, SignalId } from "../domain/ids.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";
import type { HomeKeys } from "./keys.ts";

export interface OverdueArgs {
  readonly home: HomeKeys;
  /** How long the edge that accepted a signal is given to dispatch it itself. */
  readonly graceMs: number;
  readonly limit: number;
}

const lua = `
${LUA_NOW}
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%d', now_ms() - tonumber(ARGV[1])), 'BYSCORE', 'LIMIT', 0, ARGV[2])
`;

/** The oldest accepted signals that not every region has confirmed. */
export const overdue: Script<OverdueArgs, SignalId[]> = {
  name: "overdue",
  lua,
  keys: ({ home }) => [home.undispatched],
  args: ({ graceMs, limit }) => [String(graceMs), String(limit)],
  reply: (raw) => asList(raw).map((each) => asText(each) as SignalId),
};

export interface LinkArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  /** The head that the link was made on, as it was read; null for the first link. */
  readonly head: string | null;
  readonly newHead: string;
  /** JSON of the link. */
  readonly link: string;
  /** The signal's entry. */
  readonly entry: string;
}

const linkLua = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'link', ARGV[3])
redis.call('XACK', KEYS[3], 'chain', ARGV[4])
return 1
`;

/**
 * Moves a channel's chain one link further and acknowledges the signal's
 * entry. Replies false, and changes nothing, where the chain has moved since
 * its head was read.
 */
export const link: Script<LinkArgs, boolean> = {
  name: "link",
  lua: linkLua,
  keys: ({ home, channel }) => [home.chainHead(channel), home.links, home.signals],
  args: ({ head, newHead, link: linkJson, entry }) => [head ?? "", newHead, linkJson, entry],
  reply: (raw) => asInteger(raw) === 1,
};
