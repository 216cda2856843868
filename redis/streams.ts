/**
 * Consumer groups. A stream is trimmed only below what every one of its groups
 * has been delivered and has acknowledged (P9).
 */
import { asInteger, type Script } from "./script.ts";

/** The groups that must stand on each kind of stream before anything of it may be trimmed. */
export const GROUPS = {
  signals: ["recorder", "chain"],
  links: ["recorder"],
  events: ["recorder"],
  jobs: ["workers"],
  questions: ["workers"],
  closes: ["workers"],
} as const;

export interface TrimArgs {
  readonly stream: string;
  readonly groups: readonly string[];
}

const trimLua = `
local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_seq) < tonumber(b_seq)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local found, oldest = {}, nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  found[group.name] = true
  local needed = group['last-delivered-id']
  if group.pending > 0 then needed = redis.call('XPENDING', KEYS[1], group.name)[2] end
  if not oldest or before(needed, oldest) then oldest = needed end
end
for _, name in ipairs(ARGV) do if not found[name] then return 0 end end
if not oldest then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', oldest)
`;

/** Replies how many entries went. Each group keeps at least the last entry it was delivered. */
export const trim: Script<TrimArgs, number> = {
  name: "trim",
  lua: trimLua,
  keys: ({ stream }) => [stream],
  args: ({ groups }) => [...groups],
  reply: asInteger,
};

/** Of each stream the newest letters are kept: whoever looks after it looks sooner than this many come. */
export const MAX_DEAD_LETTERS = 10_000;

export function deadLetters(stream: string): string {
  return `${stream}:dead`;
}

export interface BuryArgs {
  readonly stream: string;
  readonly group: string;
  readonly entry: string;
  readonly reason: string;
}

const buryLua = `
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local fields = entry and entry[2] or {}
redis.call('XADD', KEYS[2], '*', 'reason', ARGV[3], 'group', ARGV[1], 'entry', ARGV[2], unpack(fields))
redis.call('XTRIM', KEYS[2], 'MAXLEN', ${MAX_DEAD_LETTERS})
return 1
`;

/** Moves an entry that cannot be read to the stream's dead letters, with its reason, and acknowledges it. */
export const bury: Script<BuryArgs, boolean> = {
  name: "bury",
  lua: buryLua,
  keys: ({ stream }) => [stream, deadLetters(stream)],
  args: ({ group, entry, reason }) => [group, entry, reason],
  reply: (raw) => asInteger(raw) === 1,
};
