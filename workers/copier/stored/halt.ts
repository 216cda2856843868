/**
 * Stops (halts and drains). Every partition of every Redis has its own copy. A
 * halt stops everything that was not sent yet; a drain stops new opens. A halt is
 * stronger: a drain of a halted scope leaves it halted.
 *
 * The version changes with every change. A worker decides under the stops that it
 * last read, and the script that writes the intents compares the version. So
 * nothing is sent that was decided before a halt and written after it.
 *
 * A note beside each stop says who changed it last, when and why, also after a
 * lift. The changes are recorded from these notes, however long the records were
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

/** The scopes of a job: a stop of any one of them stops all of its orders. */
export function haltScopes(
  channel: ChannelId,
  provider: PersonId,
  broker?: string,
): readonly Scope[] {
  const scopes = ["platform", `channel:${channel}`, `provider:${provider}`] as const;
  return broker === undefined ? scopes : [...scopes, `broker:${broker}`];
}

/** The stops of one partition. */
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

/** What stops orders of these scopes: the strongest current stop. */
export function standing({ scopes }: Halts, of: Iterable<Scope>): StopState | undefined {
  let found: StopState | undefined;
  for (const scope of of) {
    const state = scopes.get(scope);
    if (state === "halt") return state;
    found ??= state;
  }
  return found;
}

/** Adds the stops that were in force before. */
export function addStops({ version, scopes }: Halts, before: Halts | undefined): Halts {
  if (!before) return { version, scopes };
  const all = new Map([...before.scopes, ...scopes]);
  for (const [scope, state] of before.scopes) if (state === "halt") all.set(scope, state);
  return { version, scopes: all };
}

/** Reads a partition's stops and their notes, from the `HGETALL` of each. */
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

/** The time of the stop is not known. It is not before the last lift. */
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
  /** The same in every partition, see `readTime`; absent if only one partition is changed. */
  readonly atMs?: number | undefined;
}

export interface SetHaltReply {
  readonly changed: boolean;
  /** The current state; undefined if nothing is stopped. */
  readonly state: StopState | undefined;
  /** Its last change; undefined if it never changed. */
  readonly stop: Stop | undefined;
  /** True if it was not lifted because the author may not lift it. */
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
-- A person who turns another's drain into a halt may still not lift it.
if known ~= '' and wanted ~= '' and owner ~= '${ADMINISTRATORS}' then owner = note.owner end
if wanted == '' then redis.call('HDEL', halts, scope) else redis.call('HSET', halts, scope, wanted) end
raise_version(halts)
local at = math.max(tonumber(at_ms) or now_ms(), note.at + 1)
write_note(notes, scope, wanted == '' and 'open' or wanted, at, wanted == '' and at or note.lifted, owner .. ' ' .. author)
return now_stands(1, 0)
`;

/** Halts, drains or lifts in one partition. A repetition changes nothing. */
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
 * The time of the Redis that stores `key`, epoch milliseconds. A change has the
 * same time in all partitions, so their clocks need not agree on whether a stop or
 * its lift was first.
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
  /** The recorded stop: a halt or a drain. */
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
 * Writes a recorded stop to one partition that has a looser state, unless a person
 * lifted it there. It never loosens a stop. Replies whether it changed anything.
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
