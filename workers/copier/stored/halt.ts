/**
 * Halts and drains, as every partition of every Redis holds its own copy. A
 * halt stops all that has not left yet; a drain stops what would open anew. A
 * halt is the stronger: draining what is halted leaves it halted.
 *
 * The version moves with every change. A worker decides under the halts that it
 * last read, and the script that writes the intents compares the version, so
 * that nothing leaves which was decided before a halt and written after it.
 */
import { ID_PATTERN, type ChannelId, type PersonId } from "../../../domain/ids.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

export const HALT_STATES = ["halt", "drain"] as const;
export type HaltState = (typeof HALT_STATES)[number];
export type HaltAction = HaltState | "lift";

/** `platform`, or one of these kinds with the id of what is stopped: `channel:demo`. */
export const HALT_KINDS = ["channel", "provider", "follower", "broker"] as const;
export type HaltScope = "platform" | `${(typeof HALT_KINDS)[number]}:${string}`;

export function isHaltScope(text: string): text is HaltScope {
  if (text === "platform") return true;
  const [kind = "", id = "", ...rest] = text.split(":");
  return HALT_KINDS.includes(kind as never) && ID_PATTERN.test(id) && rest.length === 0;
}

/** The scopes of which any one stops every order of a job. */
export function haltScopes(
  channel: ChannelId,
  provider: PersonId,
  broker?: string,
): readonly HaltScope[] {
  const scopes = ["platform", `channel:${channel}`, `provider:${provider}`] as const;
  return broker === undefined ? scopes : [...scopes, `broker:${broker}`];
}

/** What stands in one partition. */
export interface Halts {
  /** `0` where nothing was ever halted. */
  readonly version: string;
  readonly scopes: ReadonlyMap<string, HaltState>;
}

/** Reads the `HGETALL` of a partition's `halts`. */
export function parseHalts(stored: Readonly<Record<string, string>>): Halts {
  const { version = "0", ...scopes } = stored;
  return { version, scopes: new Map(Object.entries(scopes) as [HaltScope, HaltState][]) };
}

/** What stops orders of these scopes: the strongest of what stands. */
export function standing({ scopes }: Halts, of: Iterable<HaltScope>): HaltState | undefined {
  let found: HaltState | undefined;
  for (const scope of of) {
    const state = scopes.get(scope);
    if (state === "halt") return state;
    found ??= state;
  }
  return found;
}

export interface SetHaltArgs {
  /** `halts` of a home or a region partition. */
  readonly key: string;
  readonly scope: HaltScope;
  readonly action: HaltAction;
}

export interface SetHaltReply {
  readonly changed: boolean;
  /** What stands now; undefined where nothing does. */
  readonly state: HaltState | undefined;
}

const lua = `
${LUA_NOW}
local known = redis.call('HGET', halts, scope) or ''
local wanted = action
if action == 'lift' then wanted = ''
elseif known == 'halt' then wanted = 'halt' end
if wanted == known then return {0, known} end
if wanted == '' then redis.call('HDEL', halts, scope) else redis.call('HSET', halts, scope, wanted) end
local version = math.max(tonumber(redis.call('HGET', halts, 'version') or '0') + 1, now_ms())
redis.call('HSET', halts, 'version', string.format('%d', version))
return {1, wanted}
`;

/** Halts, drains or lifts in one partition; a repetition changes nothing. */
export const setHalt = defineScript<SetHaltArgs, SetHaltReply>({
  name: "set-halt",
  lua,
  keys: { halts: ({ key }) => key },
  args: {
    scope: ({ scope }) => scope,
    action: ({ action }) => action,
  },
  reply(raw) {
    const [changed, state] = asList(raw);
    const text = asText(state);
    return {
      changed: asInteger(changed) === 1,
      state: text === "" ? undefined : (text as HaltState),
    };
  },
});
