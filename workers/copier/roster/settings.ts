/**
 * Settings that apply to everything below a scope. They are recorded first and
 * then projected. Those of the platform, a provider or a channel are stored beside
 * the rosters, with one small write to each region partition. Those of a follower
 * are merged into the follower's rows, so a change raises the version of each of
 * the follower's subscriptions. These go into the outbox, and an older projection
 * never overwrites a newer one.
 */
import { failure, success, type Failure, type Result } from "../../../domain/result.ts";
import type { ScopeSettings } from "../../../domain/copier/plan-layer.ts";
import { parseSettingsScope, type SettingsScope } from "../../../domain/copier/setting.ts";
import { chunks } from "../../records/chunks.ts";
import type { Records, SettingsRecord } from "../../records/port.ts";
import { projectLayers, type Targets } from "./projector.ts";

/** If two processes change the same scope at once, one of them reads again. */
const MAX_TRIES = 5;

/** The settings of a scope that was never set. */
export function noSettings(scope: SettingsScope): SettingsRecord {
  return { _id: scope, plan: {}, paused: false, version: 0, outbox: false };
}

/** The version that a change expects, if the request names one. */
interface Condition {
  refusal(version: number): Failure | undefined;
}

/** A change that changes nothing does not raise the version. */
export async function recordSettings(
  { settings }: Pick<Records, "settings">,
  scope: SettingsScope,
  { plan, paused }: ScopeSettings,
  condition?: Condition,
): Promise<Result<SettingsRecord>> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const current = (await settings.get(scope)) ?? noSettings(scope);
    const refused = condition?.refusal(current.version);
    if (refused) return refused;
    const isSo = current.paused === paused && Bun.deepEquals(current.plan, plan);
    if (isSo) return success(current);
    const next = { _id: scope, plan, paused, version: current.version + 1, outbox: true };
    if ((await settings.putNewer([next])) === 1) return success(next);
  }
  // Others changed it at the same time in every try.
  return failure("RECORDS_UNAVAILABLE");
}

/** Returns how many of the scopes changed something in Redis or, for a follower, in the outbox. */
export async function projectSettings(
  records: Pick<Records, "subscriptions">,
  targets: Targets,
  changed: readonly SettingsRecord[],
): Promise<number> {
  const upper = changed.filter(({ _id }) => !followerOf(_id));
  let count = await projectLayers(targets, upper);
  for (const { _id } of changed) {
    const follower = followerOf(_id);
    if (follower !== undefined && (await raiseVersions(records, follower)) > 0) count += 1;
  }
  return count;
}

/** The follower of this scope. Undefined if the scope is wider. */
export function followerOf(scope: string): string | undefined {
  const { kind, id } = parseSettingsScope(scope) ?? {};
  return kind === "follower" ? id : undefined;
}

/**
 * A process that changes one of them at the same time raises its version as well,
 * and projects it with the same settings.
 */
async function raiseVersions(
  { subscriptions }: Pick<Records, "subscriptions">,
  follower: string,
): Promise<number> {
  let raised = 0;
  for await (const some of chunks(subscriptions.each({ follower }))) {
    raised += await subscriptions.putNewer(
      some.map((each) => ({ ...each, version: each.version + 1, outbox: true })),
    );
  }
  return raised;
}
