/** The scope of settings: as for stops, but without brokers. */
import type { PauseScope } from "./plan.ts";
import { parseScope, type Scope } from "./scope.ts";

export type SettingsScope = Exclude<Scope, `broker:${string}`>;

export const SETTINGS_SCOPE_PATTERN =
  /^(?:platform|(?:provider|channel|follower):[A-Za-z0-9_-]{1,64})$/;

/** Undefined if the text names no scope. */
export function parseSettingsScope(
  text: string,
): { readonly kind: PauseScope; readonly id: string } | undefined {
  const { kind, id = "" } = parseScope(text) ?? {};
  return kind === undefined || kind === "broker" ? undefined : { kind, id };
}
