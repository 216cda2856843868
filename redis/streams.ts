/**
 * Consumer groups. A stream is trimmed only below what every one of its groups
 * has been delivered and has acknowledged (P9).
 */
import { asInteger, asList, asText, defineScript } from "./script.ts";

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
if redis.call('EXISTS', stream) == 0 then return 0 end
local found, oldest = {}, nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  found[group.name] = true
  local needed = group['last-delivered-id']
  if group.pending > 0 then needed = redis.call('XPENDING', stream, group.name)[2] end
  if not oldest or before(needed, oldest) then oldest = needed end
end
for name in rows() do if not found[name] then return 0 end end
if not oldest then return 0 end
return redis.call('XTRIM', stream, 'MINID', oldest)
`;

/**
 * Returns how many entries were removed. Each group keeps at least the last entry that it was
 * delivered.
 */
export const trim = defineScript<TrimArgs, number>({
  name: "trim",
  lua: trimLua,
  keys: { stream: ({ stream }) => stream },
  rest: ({ groups }) => groups,
  columns: ["group"],
  reply: asInteger,
});

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
local found = redis.call('XRANGE', stream, entry, entry)[1]
if redis.call('XACK', stream, group, entry) == 0 and is_acked == '0' then return 0 end
local fields = found and found[2] or {}
redis.call('HDEL', failures, group .. ' ' .. entry)
redis.call('XADD', dead, '*', 'reason', reason, 'group', group, 'entry', entry, unpack(fields))
redis.call('XTRIM', dead, 'MAXLEN', ${MAX_DEAD_LETTERS})
return 1
`;

/** Moves an entry that cannot be read to the stream's dead letters, with its reason, and acknowledges it. */
export const moveToDeadLetters = defineScript<DeadLetterArgs, boolean>({
  name: "move-to-dead-letters",
  lua: deadLetterLua,
  keys: {
    stream: ({ stream }) => stream,
    dead: ({ stream }) => deadLetters(stream),
    failures: ({ stream }) => failuresKey(stream),
  },
  args: {
    group: ({ group }) => group,
    entry: ({ entry }) => entry,
    reason: ({ reason }) => reason,
    is_acked: ({ isAcked }) => (isAcked ? 1 : 0),
  },
  reply: (raw) => asInteger(raw) === 1,
});

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
local field = group .. ' ' .. entry
if #redis.call('XPENDING', stream, group, entry, entry, 1) == 0 then
  redis.call('HDEL', failures, field)
  return 0
end
local count = redis.call('HINCRBY', failures, field, 1)
redis.call('PEXPIRE', failures, ${FAILURES_KEPT_MS})
return count
`;

/**
 * Counts a failure of a pending entry, over all consumers and restarts. Returns how many failures
 * there were; 0 if the entry is not pending any more.
 */
export const noteFailure = defineScript<NoteFailureArgs, number>({
  name: "note-failure",
  lua: noteFailureLua,
  keys: {
    stream: ({ stream }) => stream,
    failures: ({ stream }) => failuresKey(stream),
  },
  args: {
    group: ({ group }) => group,
    entry: ({ entry }) => entry,
  },
  reply: asInteger,
});

export interface StillPendingArgs {
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  readonly entries: readonly string[];
}

const stillPendingLua = `
local pending = {}
for entry in rows() do
  local found = redis.call('XPENDING', stream, group, entry, entry, 1)[1]
  if found and found[2] == consumer then pending[#pending + 1] = entry end
end
return pending
`;

/**
 * Which of these entries this consumer must still handle. Another consumer may have taken one over,
 * and a Redis that lost its last moments may never have had it.
 */
export const stillPending = defineScript<StillPendingArgs, readonly string[]>({
  name: "still-pending",
  lua: stillPendingLua,
  keys: { stream: ({ stream }) => stream },
  args: {
    group: ({ group }) => group,
    consumer: ({ consumer }) => consumer,
  },
  rest: ({ entries }) => entries,
  columns: ["entry"],
  reply: (raw) => asList(raw).map(asText),
});
