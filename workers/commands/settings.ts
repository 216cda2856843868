/**
 * One-shot, for whoever runs the system: shows or sets what holds for all
 * copies below a scope, the platform's among them.
 *
 *     npm run settings -- <scope>
 *     npm run settings -- <scope> '{"plan":{"maxStakeCents":100000},"paused":false}'
 *
 * A scope is `platform`, or `provider:`, `channel:` or `follower:` with an id.
 * Ends with 0 once it is recorded and stands in every region, with 1 where it is
 * recorded and will stand as soon as Redis answers, and with 2 where the words
 * cannot be read.
 */
import { setTimeout } from "node:timers/promises";
import * as v from "valibot";
import { parseSettingsScope, type SettingsScope } from "../../domain/copier/setting.ts";
import { openRecords } from "../records/open.ts";
import type { Records, SettingsRecord } from "../records/port.ts";
import { SettingsBody } from "../api/plan.ts";
import type { Role } from "../runtime/role.ts";
import { projectSettingsNow } from "../copier/roster/outbox.ts";
import { connectTargets } from "../copier/roster/projector.ts";
import { noSettings, recordSettings } from "../copier/roster/settings.ts";

const USAGE = `usage: settings <scope> [<plan and pause as JSON>]
A scope is platform, or provider:<id>, channel:<id> or follower:<id>.`;
/** The client waits for a Redis that is away for as long as it takes; whoever gives a command does not. */
const CONFIRM_MS = 3_000;

export const role: Role = async (env) => {
  const [scope = "", text, ...rest] = process.argv.slice(3);
  const wanted = text === undefined ? undefined : readBody(text);
  if (!parseSettingsScope(scope) || wanted?.success === false || rest.length > 0) {
    for (const issue of wanted?.issues ?? []) {
      console.error(`${v.getDotPath(issue) ?? "the settings"} ${issue.message}`);
    }
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const records = await openRecords(env);
  const of = scope as SettingsScope;
  if (wanted?.success) {
    const changed = await recordSettings(records, of, wanted.output);
    if (!changed.ok) throw new Error("others change the same settings");
    if (changed.value.outbox) await project(records, changed.value);
  }
  const { plan, paused, version } = (await records.settings.get(of)) ?? noSettings(of);
  console.log(JSON.stringify({ scope, plan, paused, version }));
  await records.close();

  async function project(into: Records, changed: SettingsRecord): Promise<void> {
    const targets = connectTargets(env);
    const late = Symbol("late");
    const done = projectSettingsNow(into, targets, changed).catch(() => late);
    if ((await Promise.race([done, setTimeout(CONFIRM_MS, late)])) === late) {
      console.error("It is recorded, and will stand as soon as every region's Redis answers.");
      process.exitCode = 1;
    }
    targets.close();
  }
};

function readBody(text: string) {
  try {
    return v.safeParse(SettingsBody, JSON.parse(text));
  } catch {
    return v.safeParse(SettingsBody, undefined);
  }
}
