/**
 * Stops are written to Redis first: to every partition of the home and of every
 * region, and each confirms it. This works while the records are away. If one
 * partition does not confirm, the stop is in force in all others, and repeating
 * the command completes it.
 *
 * The records follow: the process that keeps Redis and the records in agreement
 * reads the notes beside the stops. A recorded stop is written back to a Redis
 * that lost it. Nothing here loosens a stop on its own: only a person lifts one.
 * In a Redis that missed the lift, the stop stays in force until it is lifted
 * there.
 */
import { setTimeout } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import { parseScope, type Scope } from "../../../domain/copier/scope.ts";
import {
  mergeStops,
  type Stop,
  type StopAction,
  type StopAuthor,
  type StopState,
} from "../../../domain/copier/stop.ts";
import { nameOf } from "../../../http/place.ts";
import { HomeKeys, haltNotesKey, RegionKeys } from "../../../redis/keys.ts";
import type { Records, StopRecord } from "../../records/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import {
  holdStop,
  parseHalts,
  parseStops,
  readTime,
  setHalt,
  type SetHaltReply,
} from "../stored/halt.ts";
import type { Targets } from "./projector.ts";

/** One copy of the stops. */
export interface StopCopy {
  readonly name: string;
  readonly redis: Redis;
  readonly key: string;
}

/** The regions first, because orders are sent from there. */
export function listCopies({ home, regions, partitions }: Targets): StopCopy[] {
  return [...regions, ["home", undefined] as const].flatMap(([name, region]) =>
    partitions.all().map((partition) => ({
      name: `${region ? `region ${name}` : name}, partition ${partition}`,
      redis: region ?? home,
      key: (region ? new RegionKeys(partition) : new HomeKeys(partition)).halts,
    })),
  );
}

/**
 * The Redis client waits without limit for a Redis that does not answer. A person
 * who gives a command cannot wait that long.
 */
const CONFIRM_MS = 3_000;

export interface Written {
  readonly places: number;
  readonly changed: number;
  /** The state after the change, the strictest of all. */
  readonly state: StopState | undefined;
  readonly stop: Stop | undefined;
  /** True if some partition did not lift it because the author may not lift it. */
  readonly isForeign: boolean;
  /** Copies that did not confirm in time. */
  readonly silent: readonly string[];
}

export async function writeStop(
  targets: Targets,
  scope: Scope,
  action: StopAction,
  author: Partial<StopAuthor> = {},
): Promise<Written> {
  const copies = listCopies(targets);
  const atMs = await readFirstTime(copies);
  const { replies, silent } = await askEach(copies, ({ redis, key }) =>
    run(redis, setHalt, { key, scope, action, atMs, ...author }),
  );
  return {
    places: copies.length,
    changed: replies.filter(({ changed }) => changed).length,
    // A drain does not change a halt.
    state: replies.some(({ state }) => state === "halt") ? "halt" : replies[0]?.state,
    stop: mergeReplies(replies),
    isForeign: replies.some(({ isForeign }) => isForeign),
    silent,
  };
}

/** Uses the Redis that answers first. */
async function readFirstTime(copies: readonly StopCopy[]): Promise<number | undefined> {
  const byRedis = new Map(copies.map(({ redis, key }) => [redis, key]));
  return await Promise.any([
    ...[...byRedis].map(([redis, key]) => run(redis, readTime, { key })),
    // None answers. The change finds that out by itself.
    setTimeout(CONFIRM_MS, undefined, { ref: false }),
  ]);
}

/** How long the author of a change waits for the records. */
const RECORDED_WITHIN_MS = 1_000;

/** The same, and recorded at once. If the records do not answer, the stop is recorded later. */
export async function changeStop(
  records: Pick<Records, "stops">,
  targets: Targets,
  scope: Scope,
  action: StopAction,
  author: StopAuthor,
): Promise<Written> {
  const written = await writeStop(targets, scope, action, author);
  if (written.stop) {
    const recorded = recordStops(records, new Map([[scope, written.stop]])).catch(
      (error: unknown) => {
        getLogger(["fanfare", "stops"]).warn("a stop could not be recorded yet: {error}", {
          error: nameOf(error),
        });
      },
    );
    await Promise.race([recorded, setTimeout(RECORDED_WITHIN_MS, undefined, { ref: false })]);
  }
  return written;
}

function mergeReplies(replies: readonly SetHaltReply[]): Stop | undefined {
  let merged: Stop | undefined;
  for (const { stop } of replies) if (stop) merged = mergeStops(merged, stop);
  return merged;
}

export interface Standing {
  readonly places: number;
  /** Scope → state → how many copies say so. */
  readonly scopes: ReadonlyMap<string, ReadonlyMap<StopState, number>>;
  readonly silent: readonly string[];
}

export async function readStanding(targets: Targets): Promise<Standing> {
  const copies = listCopies(targets);
  const { replies, silent } = await askEach(copies, async ({ redis, key }) =>
    parseHalts((await redis.send("HGETALL", [key])) as Record<string, string>),
  );
  const scopes = new Map<string, Map<StopState, number>>();
  for (const [scope, state] of replies.flatMap((halts) => [...halts.scopes])) {
    const counts = scopes.get(scope) ?? new Map<StopState, number>();
    scopes.set(scope, counts.set(state, (counts.get(state) ?? 0) + 1));
  }
  return { places: copies.length, scopes, silent };
}

async function askEach<T>(
  copies: readonly StopCopy[],
  ask: (copy: StopCopy) => Promise<T>,
): Promise<{ replies: T[]; silent: string[] }> {
  const late = Symbol("late");
  const timer = Promise.withResolvers<typeof late>();
  const timeout = globalThis.setTimeout(() => {
    timer.resolve(late);
  }, CONFIRM_MS);
  const answers = await Promise.all(
    // The copy did not confirm, for any reason.
    copies.map((copy) => Promise.race([ask(copy).catch(() => late), timer.promise])),
  );
  clearTimeout(timeout);
  return {
    replies: answers.flatMap((answer) => (answer === late ? [] : [answer as T])),
    silent: copies.filter((_, index) => answers[index] === late).map(({ name }) => name),
  };
}

export async function readCopy({ redis, key }: StopCopy): Promise<Map<Scope, Stop>> {
  const [halts, notes] = (await Promise.all([
    redis.send("HGETALL", [key]),
    redis.send("HGETALL", [haltNotesKey(key)]),
  ])) as [Record<string, string>, Record<string, string>];
  return parseStops(halts, notes);
}

/** If two processes record the same scope at once, one of them reads again. */
const MAX_TRIES = 5;

/** Records the stops that a Redis reports, if they are newer. Returns how many were. */
export async function recordStops(
  { stops }: Pick<Records, "stops">,
  reported: ReadonlyMap<Scope, Stop>,
): Promise<number> {
  let recorded = 0;
  let left = [...reported];
  for (let tries = 0; left.length > 0 && tries < MAX_TRIES; tries += 1) {
    const found = await stops.find({ where: { _id: left.map(([scope]) => scope) } });
    const known = new Map(found.map((each) => [each._id, each]));
    left = left.filter(([scope, stop]) => {
      const record = known.get(scope);
      return !isSame(record, mergeStops(record, stop));
    });
    for (const [scope, stop] of left) {
      const record = known.get(scope);
      const next = makeRecord(scope, mergeStops(record, stop), (record?.version ?? 0) + 1);
      recorded += await stops.putNewer([next]);
    }
  }
  return recorded;
}

function makeRecord(
  scope: Scope,
  { state, atMs, liftedAtMs, by, owner, why }: Stop,
  version: number,
): StopRecord {
  const { kind, id } = parseScope(scope) ?? {};
  const follower = kind === "follower" ? (id ?? "") : "";
  return { _id: scope, state, atMs, liftedAtMs, by, owner, why, follower, version };
}

function isSame(record: StopRecord | undefined, { state, atMs, liftedAtMs, by }: Stop): boolean {
  return (
    record?.state === state &&
    record.atMs === atMs &&
    record.liftedAtMs === liftedAtMs &&
    record.by === by
  );
}

/**
 * Writes every recorded stop to each Redis that has a looser one or none, unless
 * it was lifted there. Returns how many copies changed.
 */
export async function projectStops(
  records: Pick<Records, "stops">,
  targets: Targets,
  only?: ReadonlySet<Redis>,
): Promise<number> {
  const copies = listCopies(targets);
  return await holdRecorded(records, only ? copies.filter(({ redis }) => only.has(redis)) : copies);
}

async function holdRecorded(
  { stops }: Pick<Records, "stops">,
  copies: readonly StopCopy[],
): Promise<number> {
  let changed = 0;
  for await (const { _id, ...stop } of stops.each({ state: ["halt", "drain"] })) {
    const held = await Promise.all(
      copies.map(({ redis, key }) => run(redis, holdStop, { key, scope: _id as Scope, stop })),
    );
    changed += held.filter(Boolean).length;
  }
  return changed;
}

const EVERY_MS = 500;

/**
 * Records stops and lifts, and writes recorded stops back to a Redis that lost
 * them. Each Redis runs on its own, so none waits for one that is away.
 */
export async function followStops(
  records: Pick<Records, "stops">,
  targets: Targets,
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  const log = getLogger(["fanfare", "stops"]);
  // A change seen in one Redis is looked for in all of them.
  let changes = 0;
  const byRedis = Map.groupBy(listCopies(targets), ({ redis }) => redis);
  await Promise.all(
    [...byRedis.values()].map(async (copies) => {
      let versions: string | undefined;
      let settled = -1;
      while (!stop.aborted) {
        try {
          const now = (await readVersions(copies)).join();
          const isMoved = now !== versions;
          if (isMoved || settled !== changes) {
            const upTo = changes;
            await settle(records, copies);
            [versions, settled] = [now, upTo];
            // It is recorded now, so the others read it from the records.
            if (isMoved) changes += 1;
          }
        } catch (error) {
          log.warn("stops could not be recorded or written back, trying again: {error}", {
            error: nameOf(error),
          });
        }
        await clock.sleep(EVERY_MS);
      }
    }),
  );
}

async function readVersions(copies: readonly StopCopy[]): Promise<unknown[]> {
  return await Promise.all(copies.map(({ redis, key }) => redis.send("HGET", [key, "version"])));
}

async function settle(records: Pick<Records, "stops">, copies: readonly StopCopy[]): Promise<void> {
  const reported = new Map<Scope, Stop>();
  for (const copy of await Promise.all(copies.map(readCopy))) {
    for (const [scope, stop] of copy) reported.set(scope, mergeStops(reported.get(scope), stop));
  }
  await recordStops(records, reported);
  await holdRecorded(records, copies);
}
