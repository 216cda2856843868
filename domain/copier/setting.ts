/** The scope of settings: everything, or the copies of one provider, channel or follower. */
import type { PauseScope } from "./plan.ts";

export type SettingsScope = "platform" | `${Exclude<PauseScope, "platform">}:${string}`;

/** `platform`, or a kind and an id: `channel:demo`. */
export const SETTINGS_SCOPE_PATTERN =
  /^(?:platform|(?:provider|channel|follower):[A-Za-z0-9_-]{1,64})$/;

/** Undefined if the text names no scope; the platform has no id. */
export function parseSettingsScope(
  text: string,
): { readonly kind: PauseScope; readonly id: string } | undefined {
  if (!SETTINGS_SCOPE_PATTERN.test(text)) return undefined;
  const [kind, id = ""] = text.split(":");
  return { kind: kind as PauseScope, id };
}
