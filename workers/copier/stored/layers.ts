/**
 * Settings of the platform, of providers and of channels, as every region
 * partition holds its own copy: what they say holds for the very next signal,
 * however many follow. A job reads the three that concern it.
 *
 * A worker decides under the layers that it last read, and the script that
 * writes the intents compares those three: what is set elsewhere never makes the
 * job decide again.
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

/** What stands above every subscription of a channel. */
export interface Layers {
  /** What the three say, as it is stored: differs as soon as one of them does. */
  readonly version: string;
  /** Undefined where all of them say nothing. */
  readonly upper: LayeredPlan | undefined;
}

const KINDS = ["platform", "provider", "channel"] as const satisfies readonly PauseScope[];

/** Fields to `HMGET` of a partition's `layers`: those that concern a job. */
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

/** The version where none of them was ever set. */
export const NO_LAYERS = KINDS.map(() => "").join("\n");

function parseSettings(text: string | null | undefined): ScopeSettings | undefined {
  if (text === null || text === undefined) return undefined;
  return JSON.parse(text.slice(text.indexOf(",") + 1)) as ScopeSettings;
}

export interface SetLayerArgs {
  readonly partition: number;
  readonly scope: SettingsScope;
  /** Of the settings; an older one never overwrites a newer. */
  readonly version: number;
  /** Absent: nobody knows the scope any more. */
  readonly settings?: ScopeSettings;
}

// Workers of the release before compare the version of the whole hash.
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

/** Sets what a scope says in one partition; replies whether that was news. */
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
