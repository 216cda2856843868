/**
 * One-shot, for whoever runs the system:
 *
 *     npm run control -- halt|drain|lift <scope> [--why "…"]
 *     npm run control -- flatten <scope>
 *     npm run control -- status [scope]
 *
 * A scope is `platform`, or `channel:`, `provider:`, `follower:` or `broker:`
 * with an id. Ends with 0 once every partition confirmed, or everything that was
 * to be flattened has an outcome, with 1 where that is not so, and with 2 where
 * the words cannot be read.
 */
import * as v from "valibot";
import { isScope, SCOPE_KINDS, type Scope } from "../../../domain/copier/scope.ts";
import { MAX_WHY_LENGTH, type StopAction, type StopState } from "../../../domain/copier/stop.ts";
import { targetsOf, type Targets } from "../../copier/roster/projector.ts";
import { readStanding, writeStop, type Standing, type Written } from "../../copier/roster/stops.ts";
import type { Clock } from "../../runtime/clock.ts";
import { REDIS, REGIONS } from "../../runtime/env.ts";
import { WordsError, type Command } from "../command.ts";
import { flatten, progressOf, type Flattened } from "./flatten.ts";

const ACTIONS = ["halt", "drain", "lift"] as const;
const TOLD = { halt: "halted", drain: "being drained" } as const;
const USAGE = `usage: control halt|drain|lift <scope> [--why <text>], control flatten <scope>, or control status [scope]
A scope is platform, or ${SCOPE_KINDS.map((kind) => `${kind}:<id>`).join(", ")}.`;

interface Asked {
  readonly action: StopAction | "flatten" | "status";
  readonly scope: Scope | undefined;
  /** Of a stop, for the records. */
  readonly why: string;
}

const ControlEnv = v.object({ ...REDIS, ...REGIONS });

export const command: Command<typeof ControlEnv, Asked> = {
  description: "halts, drains or flattens what a scope names, or says what is halted",
  usage: USAGE,
  exits: {
    0: "every partition confirmed, or everything that was to be flattened has an outcome",
    1: "that is not so: give the command again",
    2: "the words or the settings cannot be read",
  },
  settings: ControlEnv,
  failure: { says: "control could not go on", exit: 1 },
  declare: (words) =>
    words
      .argument("<action>", "halt, drain, lift, flatten or status")
      .argument("[scope]", `platform, or ${SCOPE_KINDS.map((kind) => `${kind}:<id>`).join(", ")}`)
      .option("--why <text>", "why, for those who ask later"),
  read(words) {
    const [action = "", scope] = words.args;
    const { why } = words.opts<{ why?: string }>();
    if (!isAsked(action) || (scope === undefined ? action !== "status" : !isScope(scope))) {
      throw new WordsError();
    }
    if (why !== undefined && !isStop(action)) throw new WordsError();
    if (why !== undefined && why.length > MAX_WHY_LENGTH) {
      throw new WordsError(`--why may have ${MAX_WHY_LENGTH} characters`);
    }
    return { action, scope: scope as Scope | undefined, why: why ?? "" };
  },
  async run({ connections, clock }, { action, scope, why }) {
    const targets = targetsOf(connections);
    let hasAnswered = true;
    if (scope !== undefined && action !== "status") {
      if (action === "flatten") return await flattenScope(targets, scope, clock);
      const written = await writeStop(targets, scope, action, { why });
      console.log(tellWritten(scope, written));
      hasAnswered = tellSilent(written.silent);
    }
    const standing = await readStanding(targets);
    console.log(tellStanding(standing, scope));
    return tellSilent(standing.silent) && hasAnswered ? 0 : 1;
  },
};

function isAsked(action: string): action is Asked["action"] {
  return action === "flatten" || action === "status" || isStop(action);
}

function isStop(action: string): action is StopAction {
  return ACTIONS.some((each) => each === action);
}

/** How long the command waits for the outcomes of what it closes. */
const OUTCOMES_MS = 5_000;
const LOOK_EVERY_MS = 100;

async function flattenScope(targets: Targets, scope: Scope, clock: Clock): Promise<number> {
  const flattened = await flatten(targets, scope);
  if (flattened.length === 0) console.log(`Nothing of ${scope} is open.`);
  const untilMs = clock.nowMs() + OUTCOMES_MS;
  const isOver = await Promise.all(
    flattened.map((each) => tellFlattened(targets, each, clock, untilMs)),
  );
  if (isOver.every(Boolean)) return 0;
  const { scopes } = await readStanding(targets);
  const halted = [...scopes].flatMap(([each, states]) => (states.has("halt") ? [each] : []));
  if (halted.length === 0) return 1;
  console.error(
    `Halted: ${halted.toSorted().join(", ")}. What a halt holds is closed when it is lifted.`,
  );
  return 1;
}

/** Whether everything that was to be closed has an outcome. */
async function tellFlattened(
  targets: Targets,
  each: Flattened,
  clock: Clock,
  untilMs: number,
): Promise<boolean> {
  if (each.kind === "refused") {
    console.error(`${each.channel}\tnot closed: ${each.code}`);
    return false;
  }
  const { id, followers } = each.acceptance;
  for (;;) {
    const progress = await progressOf(targets, id);
    const isOver = progress?.status === "complete";
    if (!isOver && clock.nowMs() < untilMs) {
      await clock.sleep(LOOK_EVERY_MS);
      continue;
    }
    const { placed = 0, rejected = 0, skipped = 0, unknown = 0 } = progress?.counts ?? {};
    const waiting = followers - placed - rejected - skipped - unknown;
    const told = `${placed} closed, ${skipped} not open, ${rejected} rejected, ${unknown} unknown`;
    console.log(`${each.channel}\t${id}\tof ${followers} copies: ${told}, ${waiting} waiting`);
    return isOver && rejected + unknown === 0;
  }
}

function tellWritten(scope: string, { places, changed, state, silent }: Written): string {
  const confirmed = `${places - silent.length} of ${places} partitions confirmed, ${changed} changed`;
  return `${scope} is ${state ? TOLD[state] : "open"}: ${confirmed}.`;
}

function tellStanding({ places, scopes, silent }: Standing, only?: string): string {
  const told = [...scopes]
    .filter(([scope]) => only === undefined || scope === only)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([scope, states]) =>
      [...states].map(([state, count]) => lineOf(scope, state, count, places - silent.length)),
    );
  const nothing = `Nothing is halted or drained${only === undefined ? "" : ` as ${only}`}.`;
  return told.length === 0 ? nothing : told.join("\n");
}

function lineOf(scope: string, state: StopState, count: number, places: number): string {
  const where = count === places ? "everywhere" : `only in ${count} of ${places} partitions`;
  return `${scope}\t${TOLD[state]}\t${where}`;
}

/** Whether every place answered. */
function tellSilent(silent: readonly string[]): boolean {
  if (silent.length === 0) return true;
  console.error(`No confirmation from ${silent.join("; ")}. Give the command again.`);
  return false;
}
