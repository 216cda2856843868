/** What settings hold for: as stops, but not for a broker. */
import type { PauseScope } from "./plan.ts";
import { parseScope, type Scope } from "./scope.ts";

export type SettingsScope = Exclude<Scope, `broker:${string}`>;

export const SETTINGS_SCOPE_PATTERN =
  /^(?:platform|(?:provider|channel|follower):[A-Za-z0-9_-]{1,64})$/;

/** Undefined where the text names none. */
export function parseSettingsScope(
  text: string,
): { readonly kind: PauseScope; readonly id: string } | undefined {
  const { kind, id = "" } = parseScope(text) ?? {};
  return kind === undefined || kind === "broker" ? undefined : { kind, id };
}
