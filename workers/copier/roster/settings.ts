/**
 * What holds for all below a scope, recorded first and then projected. Of the
 * platform, a provider and a channel it stands beside the rosters, one small
 * write a region partition. Of a follower it is laid into their rows, so a change
 * of it raises the version of each of their subscriptions: they go into the
 * outbox, and an older projection never overwrites it.
 */
import { failure, success, type Failure, type Result } from "../../../domain/result.ts";
import type { ScopeSettings } from "../../../domain/copier/plan-layer.ts";
import { parseSettingsScope, type SettingsScope } from "../../../domain/copier/setting.ts";
import { chunks } from "../../records/chunks.ts";
import type { Records, SettingsRecord } from "../../records/port.ts";
import { projectLayers, type Targets } from "./projector.ts";

/** Of two who change the same scope at once, one reads again. */
const MAX_TRIES = 5;

/** What stands where nothing was ever set. */
export function noSettings(scope: SettingsScope): SettingsRecord {
  return { _id: scope, plan: {}, paused: false, version: 0, outbox: false };
}

/** The version that a change is made for, where the request names one. */
interface Condition {
  refusal(version: number): Failure | undefined;
}

/** What is so already needs no version of its own. */
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
  // Others changed it at the same time, again and again.
  return failure("RECORDS_UNAVAILABLE");
}

/** Answers how many of the scopes changed something in Redis or, of a follower's, in the outbox. */
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

/** Whose settings these are; undefined where they are of a wider scope. */
export function followerOf(scope: string): string | undefined {
  const { kind, id } = parseSettingsScope(scope) ?? {};
  return kind === "follower" ? id : undefined;
}

/** Whoever changes one of them at the same time raises it as well, and is projected with the same settings. */
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
