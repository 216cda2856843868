/** The home worker's reads and writes for completing dispatches and linking chains. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";
import type { HomeKeys } from "../../../redis/keys.ts";

export interface OverdueArgs {
  readonly home: HomeKeys;
  /** How long the edge that accepted a signal may take to dispatch it. */
  readonly graceMs: number;
  /** How many of the oldest to skip, because they were just tried. */
  readonly skip: number;
  readonly limit: number;
}

export interface Overdue {
  /** The oldest after the skipped ones; fewer than the limit if there are no more. */
  readonly oldest: SignalId[];
  /** The newest, if more than these are overdue: they may still be in time. */
  readonly newest: SignalId[];
}

const lua = `
${LUA_NOW}
local before = string.format('%d', now_ms() - tonumber(grace_ms))
local oldest = redis.call('ZRANGE', undispatched, '-inf', before, 'BYSCORE', 'LIMIT', skip, limit)
if skip == '0' and #oldest < tonumber(limit) then return {oldest, {}} end
return {oldest, redis.call('ZRANGE', undispatched, before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, limit)}
`;

/** Accepted signals that some region has not confirmed, the oldest and the newest. */
export const overdue = defineScript<OverdueArgs, Overdue>({
  name: "overdue",
  lua,
  keys: { undispatched: ({ home }) => home.undispatched },
  args: {
    grace_ms: ({ graceMs }) => graceMs,
    skip: ({ skip }) => skip,
    limit: ({ limit }) => limit,
  },
  reply(raw) {
    const [oldest, newest] = asList(raw).map((ids) =>
      asList(ids).map((id) => asText(id) as SignalId),
    );
    return { oldest: oldest ?? [], newest: newest ?? [] };
  },
});

export interface LinkArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  /**
   * The head, as it was read, that the first link continues from; null for the
   * channel's first link.
   */
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
if (redis.call('GET', chain) or '') ~= head then return 0 end
redis.call('SET', chain, new_head)
for link, entry in rows() do
  redis.call('XADD', links, '*', 'link', link)
  redis.call('XACK', signals, 'chain', entry)
end
return 1
`;

/**
 * Adds consecutive links to a channel's chain and acknowledges their signals'
 * entries. Replies false, and changes nothing, if the chain has changed since its
 * head was read.
 */
export const link = defineScript<LinkArgs, boolean>({
  name: "link",
  lua: linkLua,
  keys: {
    chain: ({ home, channel }) => home.chainHead(channel),
    links: ({ home }) => home.links,
    signals: ({ home }) => home.signals,
  },
  args: {
    head: ({ head }) => head ?? "",
    new_head: ({ newHead }) => newHead,
  },
  rest: ({ links }) => links.flatMap(({ link, entry }) => [link, entry]),
  columns: ["link", "entry"],
  reply: (raw) => asInteger(raw) === 1,
});
