/**
 * One-shot, for whoever runs the system:
 *
 *     npm run control -- halt|drain|lift <scope>
 *     npm run control -- flatten <scope>
 *     npm run control -- status [scope]
 *
 * A scope is `platform`, or `channel:`, `provider:`, `follower:` or `broker:`
 * with an id. Ends with 0 once every partition confirmed, or everything that was
 * to be flattened has an outcome, with 1 where that is not so, and with 2 where
 * the words cannot be read.
 */
import {
  HALT_KINDS,
  isHaltScope,
  type HaltAction,
  type HaltScope,
  type HaltState,
} from "../../copier/stored/halt.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { regionRedisUrls } from "../../runtime/env.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { flatten, progressOf, type Flattened } from "./flatten.ts";
import { readHalts, writeHalt, type Places, type Standing, type Written } from "./halts.ts";

const ACTIONS = ["halt", "drain", "lift"] as const;
const TOLD = { halt: "halted", drain: "being drained" } as const;
const USAGE = `usage: control halt|drain|lift <scope>, control flatten <scope>, or control status [scope]
A scope is platform, or ${HALT_KINDS.map((kind) => `${kind}:<id>`).join(", ")}.`;

export const role: Role = async (env) => {
  const [action = "", scope, ...rest] = process.argv.slice(3);
  const isAction = ACTIONS.includes(action as HaltAction);
  const readable =
    (isAction || action === "flatten" || action === "status") &&
    (scope === undefined ? action === "status" : isHaltScope(scope)) &&
    rest.length === 0;
  if (!readable) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const places: Places = {
    home: connectRedis(env.FANFARE_REDIS_URL),
    regions: new Map(
      Object.entries(regionRedisUrls(env)).map(([name, url]) => [name, connectRedis(url)]),
    ),
    partitions: new PartitionMap(env.FANFARE_PARTITIONS),
  };
  if (isAction && scope !== undefined && isHaltScope(scope)) {
    const written = await writeHalt(places, scope, action as HaltAction);
    console.log(tellWritten(scope, written));
    tellSilent(written.silent);
  }
  if (action === "flatten" && scope !== undefined && isHaltScope(scope)) {
    await flattenScope(places, scope);
  } else {
    const standing = await readHalts(places);
    console.log(tellStanding(standing, scope));
    tellSilent(standing.silent);
  }
  places.home.close();
  for (const region of places.regions.values()) region.close();
};

/** How long the command waits for the outcomes of what it closes. */
const OUTCOMES_MS = 5_000;
const LOOK_EVERY_MS = 100;

async function flattenScope(places: Places, scope: HaltScope): Promise<void> {
  const flattened = await flatten(places, scope);
  if (flattened.length === 0) console.log(`Nothing of ${scope} is open.`);
  const until = Date.now() + OUTCOMES_MS;
  const isOver = await Promise.all(flattened.map((each) => tellFlattened(places, each, until)));
  if (isOver.every(Boolean)) return;
  process.exitCode = 1;
  const { scopes } = await readHalts(places);
  const halted = [...scopes].flatMap(([each, states]) => (states.has("halt") ? [each] : []));
  if (halted.length === 0) return;
  console.error(
    `Halted: ${halted.toSorted().join(", ")}. What a halt holds is closed when it is lifted.`,
  );
}

/** Whether everything that was to be closed has an outcome. */
async function tellFlattened(places: Places, each: Flattened, untilMs: number): Promise<boolean> {
  if (each.kind === "refused") {
    console.error(`${each.channel}\tnot closed: ${each.code}`);
    return false;
  }
  const { id, followers } = each.acceptance;
  for (;;) {
    const progress = await progressOf(places, id);
    const isOver = progress?.status === "complete";
    if (!isOver && Date.now() < untilMs) {
      await Bun.sleep(LOOK_EVERY_MS);
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

function lineOf(scope: string, state: HaltState, count: number, places: number): string {
  const where = count === places ? "everywhere" : `only in ${count} of ${places} partitions`;
  return `${scope}\t${TOLD[state]}\t${where}`;
}

function tellSilent(silent: readonly string[]): void {
  if (silent.length === 0) return;
  console.error(`No confirmation from ${silent.join("; ")}. Give the command again.`);
  process.exitCode = 1;
}
