/**
 * Settings of the platform, of providers and of channels. Every region partition
 * has its own copy, so a change applies to the very next signal for any number of
 * followers. A job reads the three that apply to it.
 *
 * A worker decides under the policies that it last read, and the script that
 * writes the intents compares those three. A change of other scopes never makes
 * the job decide again.
 */
import type { PauseScope } from "../../../domain/copier/plan.ts";
import {
  foldScopes,
  type LayeredPlan,
  type ScopeSettings,
} from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

/** The policies above every subscription of a channel. */
export interface Layers {
  /** The stored text of all three. It differs as soon as one of them does. */
  readonly version: string;
  /** Undefined if none of them sets anything. */
  readonly upper: LayeredPlan | undefined;
}

const KINDS = ["platform", "provider", "channel"] as const satisfies readonly PauseScope[];

/** Fields to `HMGET` from a partition's `layers`: those that apply to a job. */
export function layerFields({
  provider,
  channel,
}: Pick<AcceptedSignal, "provider" | "channel">): string[] {
  return ["platform", `provider:${provider}`, `channel:${channel}`];
}

export function parseLayers(raw: unknown): Layers {
  const texts = asList(raw) as (string | null)[];
  const scopes = Object.fromEntries(
    KINDS.flatMap((kind, index) => {
      const settings = parseSettings(texts[index]);
      return settings ? [[kind, settings]] : [];
    }),
  );
  const upper = foldScopes(scopes);
  return {
    version: texts.map((each) => each ?? "").join("\n"),
    upper: Object.keys(upper).length > 0 ? upper : undefined,
  };
}

/** The version if none of them was ever set. */
export const NO_LAYERS = KINDS.map(() => "").join("\n");

function parseSettings(text: string | null | undefined): ScopeSettings | undefined {
  if (text === null || text === undefined) return undefined;
  return JSON.parse(text.slice(text.indexOf(",") + 1)) as ScopeSettings;
}

export interface SetLayerArgs {
  readonly partition: number;
  readonly scope: SettingsScope;
  /** The version of the settings. An older one never overwrites a newer one. */
  readonly version: number;
  /** Absent if the scope no longer exists in the records. */
  readonly settings?: ScopeSettings;
}

// Workers of the previous release compare the version of the whole hash.
const lua = `
${LUA_NOW}
local wanted = tonumber(version)
local known = tonumber(string.match(redis.call('HGET', layers, scope) or '', '^(%d+),') or '0')
if settings == '' then
  if known == 0 or known > wanted then return 0 end
  redis.call('HDEL', layers, scope)
else
  if known >= wanted then return 0 end
  redis.call('HSET', layers, scope, version .. ',' .. settings)
end
local layers_version = math.max(tonumber(redis.call('HGET', layers, 'version') or '0') + 1, now_ms())
redis.call('HSET', layers, 'version', string.format('%d', layers_version))
return 1
`;

/** Sets the policy of a scope in one partition. Replies whether anything changed. */
export const setLayer = defineScript<SetLayerArgs, boolean>({
  name: "set-layer",
  lua,
  keys: { layers: ({ partition }) => new RegionKeys(partition).layers },
  args: {
    scope: ({ scope }) => scope,
    version: ({ version }) => version,
    settings: ({ settings }) =>
      settings ? JSON.stringify({ plan: settings.plan, paused: settings.paused }) : "",
  },
  reply: (raw) => asInteger(raw) === 1,
});
