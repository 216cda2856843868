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
import { projectSettingsNow } from "../copier/roster/outbox.ts";
import { targetsOf } from "../copier/roster/projector.ts";
import { noSettings, recordSettings } from "../copier/roster/settings.ts";
import type { Connections } from "../runtime/connections.ts";
import { REDIS, REGIONS, STORE } from "../runtime/env.ts";
import { nameOf } from "../../http/place.ts";
import { Failure, WordsError, type Command } from "./command.ts";

const USAGE = `usage: settings <scope> [<plan and pause as JSON>]
A scope is platform, or provider:<id>, channel:<id> or follower:<id>.`;
/** The settings are recorded by then; a Redis that is away gets them when it is back. */
const CONFIRM_MS = 3_000;

interface Asked {
  readonly scope: SettingsScope;
  /** Absent: the settings are shown only. */
  readonly wanted?: v.InferOutput<typeof SettingsBody>;
}

const SettingsEnv = v.object({ ...REDIS, ...REGIONS, ...STORE });

export const command: Command<typeof SettingsEnv, Asked> = {
  description: "shows or sets the plan and the pause of all copies in a scope",
  usage: USAGE,
  exits: {
    0: "it is recorded, and every region has it",
    1: "it is recorded, and every region has it as soon as its Redis answers; or it is not recorded, and the error says so",
    2: "the words or the settings cannot be read",
  },
  settings: SettingsEnv,
  failure: { says: "settings could not go on", exit: 1 },
  declare: (words) =>
    words
      .argument("<scope>", "platform, provider:<id>, channel:<id> or follower:<id>")
      .argument(
        "[settings]",
        'plan and pause as JSON: {"plan":{"maxStakeCents":1000},"paused":false}',
      ),
  read({ args: [scope = "", text] }) {
    const wanted = text === undefined ? undefined : readBody(text);
    const faults = (wanted?.issues ?? []).map(
      (issue) => `${v.getDotPath(issue) ?? "the settings"} ${issue.message}`,
    );
    if (!parseSettingsScope(scope) || wanted?.success === false) {
      throw new WordsError(faults.join("\n"));
    }
    const of = { scope: scope as SettingsScope };
    return wanted?.success ? { ...of, wanted: wanted.output } : of;
  },
  async run({ settings, connections }, { scope, wanted }) {
    const records = await openRecords(settings);
    try {
      let isProjected = true;
      if (wanted) {
        const changed = await recordSettings(records, scope, wanted);
        if (!changed.ok) throw new Failure("others change the same settings");
        const { value } = changed;
        if (value.outbox) isProjected = await project(records, connections, value);
      }
      const { plan, paused, version } = (await records.settings.get(scope)) ?? noSettings(scope);
      console.log(JSON.stringify({ scope, plan, paused, version }));
      return isProjected ? 0 : 1;
    } finally {
      await records.close();
    }
  },
};

/** Whether every region has it. */
async function project(
  records: Records,
  connections: Connections,
  changed: SettingsRecord,
): Promise<boolean> {
  const done = projectSettingsNow(records, targetsOf(connections), changed).then(
    () => "done" as const,
    nameOf,
  );
  const end = await Promise.race([done, setTimeout(CONFIRM_MS, "no answer in time")]);
  if (end === "done") return true;
  console.error(`It is recorded, and will stand as soon as every region's Redis answers. (${end})`);
  return false;
}

function readBody(text: string) {
  try {
    return v.safeParse(SettingsBody, JSON.parse(text));
  } catch {
    // The parser's message would repeat the text; the schema's says what is wanted.
    return v.safeParse(SettingsBody, undefined);
  }
}
