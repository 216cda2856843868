/**
 * Stops (halts and drains), as every partition of every Redis holds its own
 * copy. A halt stops all that has not left yet; a drain stops what would open
 * anew. A halt is the stronger: draining what is halted leaves it halted.
 *
 * The version moves with every change. A worker decides under the stops that it
 * last read, and the script that writes the intents compares the version, so
 * that nothing leaves which was decided before a halt and written after it.
 *
 * A note beside each stop says who changed it last, when and why, also once it
 * is lifted: from these the changes are recorded, however long the records are
 * away. A stop without a note was set by an earlier release, or by hand.
 */
import type { ChannelId, PersonId } from "../../../domain/ids.ts";
import { own } from "../../../domain/own.ts";
import { isScope, type Scope } from "../../../domain/copier/scope.ts";
import {
  ADMINISTRATORS,
  OPERATOR,
  type Stop,
  type StopAction,
  type StopAuthor,
  type StopState,
} from "../../../domain/copier/stop.ts";
import { haltNotesKey } from "../../../redis/keys.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

export type { Scope as HaltScope } from "../../../domain/copier/scope.ts";
export type {
  StopAction as HaltAction,
  StopState as HaltState,
} from "../../../domain/copier/stop.ts";

/** The scopes of which any one stops every order of a job. */
export function haltScopes(
  channel: ChannelId,
  provider: PersonId,
  broker?: string,
): readonly Scope[] {
  const scopes = ["platform", `channel:${channel}`, `provider:${provider}`] as const;
  return broker === undefined ? scopes : [...scopes, `broker:${broker}`];
}

/** What stands in one partition. */
export interface Halts {
  /** `0` where nothing was ever halted. */
  readonly version: string;
  readonly scopes: ReadonlyMap<string, StopState>;
}

/** Reads the `HGETALL` of a partition's `halts`. */
export function parseHalts(stored: Readonly<Record<string, string>>): Halts {
  const { version = "0", ...scopes } = stored;
  return { version, scopes: new Map(Object.entries(scopes) as [Scope, StopState][]) };
}

/** What stops orders of these scopes: the strongest of what stands. */
export function standing({ scopes }: Halts, of: Iterable<Scope>): StopState | undefined {
  let found: StopState | undefined;
  for (const scope of of) {
    const state = scopes.get(scope);
    if (state === "halt") return state;
    found ??= state;
  }
  return found;
}

/** These, and what stood before as well. */
export function addStops({ version, scopes }: Halts, before: Halts | undefined): Halts {
  if (!before) return { version, scopes };
  const all = new Map([...before.scopes, ...scopes]);
  for (const [scope, state] of before.scopes) if (state === "halt") all.set(scope, state);
  return { version, scopes: all };
}

/** A partition's stops and their notes, by the `HGETALL` of each. */
export function parseStops(
  stored: Readonly<Record<string, string>>,
  notes: Readonly<Record<string, string>>,
): Map<Scope, Stop> {
  const { scopes } = parseHalts(stored);
  const stops = new Map<Scope, Stop>();
  for (const scope of new Set([...scopes.keys(), ...Object.keys(notes)])) {
    if (!isScope(scope)) continue;
    const state = scopes.get(scope) ?? "open";
    const stop = parseNote(own(notes, scope) ?? "");
    if (stop?.state === state) stops.set(scope, stop);
    else if (state !== "open") stops.set(scope, unexplained(state, stop));
  }
  return stops;
}

/** When it was set is not known: not before it was last lifted. */
function unexplained(state: StopState, before: Stop | undefined): Stop {
  const liftedAtMs = before?.liftedAtMs ?? 0;
  const author = { by: OPERATOR, owner: ADMINISTRATORS, why: "" };
  return { state, atMs: liftedAtMs, liftedAtMs, ...author };
}

function parseNote(note: string): Stop | undefined {
  const [, state, at, lifted, owner = "", by = "", why = ""] =
    /^(halt|drain|open) (\d+) (\d+) (\S+) (\S+) (.*)$/s.exec(note) ?? [];
  if (state === undefined) return undefined;
  const times = { atMs: Number(at), liftedAtMs: Number(lifted) };
  return { state: state as Stop["state"], ...times, owner, by, why };
}

const LUA_NOTE = `
local function note_of(key, scope)
  local state, at, lifted, owner = string.match(redis.call('HGET', key, scope) or '', '^(%a+) (%d+) (%d+) (%S+) ')
  return {state = state or 'open', at = tonumber(at or '0'), lifted = tonumber(lifted or '0'), owner = owner or '${ADMINISTRATORS}'}
end
local function raise_version(key)
  local version = math.max(tonumber(redis.call('HGET', key, 'version') or '0') + 1, now_ms())
  redis.call('HSET', key, 'version', string.format('%d', version))
end
local function write_note(key, scope, state, at, lifted, author)
  local note = string.format('%s %d %d %s', state, at, lifted, author)
  redis.call('HSET', key, scope, note)
  return note
end
`;

const HALT_KEYS = {
  halts: ({ key }: { readonly key: string }) => key,
  notes: ({ key }: { readonly key: string }) => haltNotesKey(key),
};

export interface SetHaltArgs extends Partial<StopAuthor> {
  /** `halts` of a home or a region partition. */
  readonly key: string;
  readonly scope: Scope;
  readonly action: StopAction;
  /** The same in every partition, see `readTime`; absent where only one is changed. */
  readonly atMs?: number | undefined;
}

export interface SetHaltReply {
  readonly changed: boolean;
  /** What stands now; undefined where nothing does. */
  readonly state: StopState | undefined;
  /** Its last change; undefined where it was never changed. */
  readonly stop: Stop | undefined;
  /** It was not lifted, as it is not the author's to lift. */
  readonly isForeign: boolean;
}

const lua = `
${LUA_NOW}
${LUA_NOTE}
local known = redis.call('HGET', halts, scope) or ''
local note = note_of(notes, scope)
if note.state ~= (known == '' and 'open' or known) then note.owner = '${ADMINISTRATORS}' end
local function now_stands(changed, is_foreign)
  return {changed, redis.call('HGET', halts, scope) or '', redis.call('HGET', notes, scope) or '', is_foreign}
end
local wanted = action
if action == 'lift' then wanted = ''
elseif known == 'halt' then wanted = 'halt' end
if wanted == known then return now_stands(0, 0) end
if wanted == '' and owner ~= '${ADMINISTRATORS}' and owner ~= note.owner then return now_stands(0, 1) end
-- A person who makes another's drain a halt may still not lift it.
if known ~= '' and wanted ~= '' and owner ~= '${ADMINISTRATORS}' then owner = note.owner end
if wanted == '' then redis.call('HDEL', halts, scope) else redis.call('HSET', halts, scope, wanted) end
raise_version(halts)
local at = math.max(tonumber(at_ms) or now_ms(), note.at + 1)
write_note(notes, scope, wanted == '' and 'open' or wanted, at, wanted == '' and at or note.lifted, owner .. ' ' .. author)
return now_stands(1, 0)
`;

/** Halts, drains or lifts in one partition; a repetition changes nothing. */
export const setHalt = defineScript<SetHaltArgs, SetHaltReply>({
  name: "set-halt",
  lua,
  keys: HALT_KEYS,
  args: {
    scope: ({ scope }) => scope,
    action: ({ action }) => action,
    owner: ({ owner = ADMINISTRATORS }) => owner,
    author: ({ by = OPERATOR, why = "" }) => `${by} ${why}`,
    at_ms: ({ atMs = "" }) => atMs,
  },
  reply(raw, { scope }) {
    const [changed, ...rest] = asList(raw);
    const [state = "", note = "", isForeign] = rest.map(asText);
    const stored = state === "" ? {} : { [scope]: state };
    return {
      changed: asInteger(changed) === 1,
      state: state === "" ? undefined : (state as StopState),
      stop: parseStops(stored, { [scope]: note }).get(scope),
      isForeign: isForeign === "1",
    };
  },
});

/**
 * The time of the Redis that holds `key`, epoch milliseconds. A change has one
 * time in all partitions, so that their clocks need not agree on which of a stop
 * and its lift was first.
 */
export const readTime = defineScript<{ readonly key: string }, number>({
  name: "read-time",
  lua: `${LUA_NOW}return string.format('%d', now_ms())`,
  keys: { halts: HALT_KEYS.halts },
  reply: asInteger,
});

export interface HoldStopArgs {
  readonly key: string;
  readonly scope: Scope;
  /** As it is recorded: a halt or a drain. */
  readonly stop: Stop;
}

const holdLua = `
${LUA_NOW}
${LUA_NOTE}
local at = tonumber(at_ms)
local known = redis.call('HGET', halts, scope) or ''
if known == 'halt' or known == wanted then return 0 end
local note = note_of(notes, scope)
if note.lifted > at then return 0 end
redis.call('HSET', halts, scope, wanted)
raise_version(halts)
write_note(notes, scope, wanted, at, note.lifted, author)
return 1
`;

/**
 * Brings a recorded stop to one partition where a looser state stands that
 * nobody lifted it to. It never loosens one. Replies whether it changed anything.
 */
export const holdStop = defineScript<HoldStopArgs, boolean>({
  name: "hold-stop",
  lua: holdLua,
  keys: HALT_KEYS,
  args: {
    scope: ({ scope }) => scope,
    wanted: ({ stop }) => stop.state,
    at_ms: ({ stop }) => stop.atMs,
    author: ({ stop: { owner, by, why } }) => `${owner} ${by} ${why}`,
  },
  reply: (raw) => asInteger(raw) === 1,
});
