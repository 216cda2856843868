/**
 * Consumer groups. A stream is trimmed only below what every one of its groups
 * has been delivered and has acknowledged (P9).
 */
import { asInteger, asList, asText, type Script } from "./script.ts";

/** The groups that must exist on each kind of stream before it may be trimmed. */
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

/**
 * Returns how many entries were removed. Each group keeps at least the last entry that it was
 * delivered.
 */
export const trim: Script<TrimArgs, number> = {
  name: "trim",
  lua: trimLua,
  keys: ({ stream }) => [stream],
  args: ({ groups }) => [...groups],
  reply: asInteger,
};

/** The newest dead letters of each stream are kept: an operator looks before this many arrive. */
export const MAX_DEAD_LETTERS = 10_000;

export function deadLetters(stream: string): string {
  return `${stream}:dead`;
}

export interface DeadLetterArgs {
  readonly stream: string;
  readonly group: string;
  readonly entry: string;
  readonly reason: string;
  /** The report has already acknowledged the entry. */
  readonly isAcked?: boolean;
}

const deadLetterLua = `
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 and ARGV[4] == '0' then return 0 end
local fields = entry and entry[2] or {}
redis.call('HDEL', KEYS[3], ARGV[1] .. ' ' .. ARGV[2])
redis.call('XADD', KEYS[2], '*', 'reason', ARGV[3], 'group', ARGV[1], 'entry', ARGV[2], unpack(fields))
redis.call('XTRIM', KEYS[2], 'MAXLEN', ${MAX_DEAD_LETTERS})
return 1
`;

/** Moves an entry that cannot be read to the stream's dead letters, with its reason, and acknowledges it. */
export const moveToDeadLetters: Script<DeadLetterArgs, boolean> = {
  name: "move-to-dead-letters",
  lua: deadLetterLua,
  keys: ({ stream }) => [stream, deadLetters(stream), failuresKey(stream)],
  args: ({ group, entry, reason, isAcked }) => [group, entry, reason, isAcked ? "1" : "0"],
  reply: (raw) => asInteger(raw) === 1,
};

const FAILURES_KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * HASH `<group> <entry>` → how often handling the entry failed; it expires a day after the last
 * failure.
 */
export function failuresKey(stream: string): string {
  return `${stream}:failures`;
}

export interface NoteFailureArgs {
  readonly stream: string;
  readonly group: string;
  readonly entry: string;
}

const noteFailureLua = `
local field = ARGV[1] .. ' ' .. ARGV[2]
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then
  redis.call('HDEL', KEYS[2], field)
  return 0
end
local failures = redis.call('HINCRBY', KEYS[2], field, 1)
redis.call('PEXPIRE', KEYS[2], ${FAILURES_KEPT_MS})
return failures
`;

/**
 * Counts a failure of a pending entry, over all consumers and restarts. Returns how many failures
 * there were; 0 if the entry is not pending any more.
 */
export const noteFailure: Script<NoteFailureArgs, number> = {
  name: "note-failure",
  lua: noteFailureLua,
  keys: ({ stream }) => [stream, failuresKey(stream)],
  args: ({ group, entry }) => [group, entry],
  reply: asInteger,
};

export interface StillPendingArgs {
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  readonly entries: readonly string[];
}

const stillPendingLua = `
local pending = {}
for i = 3, #ARGV do
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if found and found[2] == ARGV[2] then pending[#pending + 1] = ARGV[i] end
end
return pending
`;

/**
 * Which of these entries this consumer must still handle. Another consumer may have taken one over,
 * and a Redis that lost its last moments may never have had it.
 */
export const stillPending: Script<StillPendingArgs, readonly string[]> = {
  name: "still-pending",
  lua: stillPendingLua,
  keys: ({ stream }) => [stream],
  args: ({ group, consumer, entries }) => [group, consumer, ...entries],
  reply: (raw) => asList(raw).map(asText),
};
