/** What the home worker that completes cut-off dispatches reads and writes. */
import type { SignalId } from "../domain/ids.ts";
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
  readonly head: string;
  readonly links: string;
  readonly entry: string;
  readonly signals: string;
  readonly sequence: number;
  /** JSON of the new head and of the link. */
  readonly newHead: string;
  readonly link: string;
}

const linkLua = `
local known = redis.call('GET', KEYS[1])
local at = known and cjson.decode(known).sequence or 0
local linked = 0
if tonumber(ARGV[1]) > at + 1 then return -1 end
if tonumber(ARGV[1]) == at + 1 then
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('XADD', KEYS[2], '*', 'link', ARGV[3])
  linked = 1
end
redis.call('XACK', KEYS[3], 'chain', ARGV[4])
return linked
`;

/**
 * Moves a channel's chain one link further, once, and acknowledges the
 * signal's entry; `early` where the signal before is not linked yet.
 */
export const link: Script<LinkArgs, "linked" | "known" | "early"> = {
  name: "link",
  lua: linkLua,
  keys: ({ head, links, signals }) => [head, links, signals],
  args: ({ sequence, newHead, link: linkJson, entry }) => [
    String(sequence),
    newHead,
    linkJson,
    entry,
  ],
  reply(raw) {
    const linked = asInteger(raw);
    if (linked < 0) return "early";
    return linked === 1 ? "linked" : "known";
  },
};
