/**
 * Opens a Redis. No role uses one before its format and its number of partitions are compared with
 * this process's settings. A Redis that does not answer is waited for. The comparison is repeated
 * for as long as the process runs.
 */
import { setTimeout } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import {
  compareFormat,
  compareHeader,
  DEFAULT_PARTITIONS,
  HEADER_FIELDS,
  storedPartitions,
  type FormatReply,
  type RunAll,
} from "../../redis/format.ts";
import { formatKey, PartitionMap } from "../../redis/keys.ts";
import { run, type Redis } from "./redis.ts";

const PAUSE_MS = 200;
/** When everything starts at once, a short wait for Redis is normal and is not logged. */
const NOTE_AFTER_MS = 1_000;
const SILENT = Symbol("silent");

/**
 * The format of the Redis differs from this process's settings; the message is ours and may be
 * shown.
 */
export class FormatDiffers extends Error {}

/** No Redis answered within the time limit, or the process was stopped. */
export class RedisSilent extends Error {}

/** By the name for messages: `home`, `region eu`. */
type NamedRedis = Readonly<Record<string, Redis>>;

export interface Patience {
  /** For commands, which do not wait as long as roles. */
  readonly patienceMs?: number;
  /** A Redis that has not answered by then is left out, instead of `RedisSilent`. */
  readonly skipSilent?: boolean;
}

/**
 * The partitions on which all of these agree: the configured number, or the one that the first of
 * them stores. Throws `FormatDiffers`, or `RedisSilent` if one has not answered before the process
 * is stopped or the time limit ends.
 */
export async function openPartitions(
  configured: number | undefined,
  redises: NamedRedis,
  stop: AbortSignal,
  { patienceMs, skipSilent = false }: Patience = {},
): Promise<PartitionMap> {
  const named = Object.entries(redises);
  /** Name → answer, without those that did not answer. */
  async function ofEach<T>(
    some: readonly (readonly [string, Redis])[],
    ask: (runAll: RunAll, name: string) => Promise<T>,
  ): Promise<Map<string, T>> {
    const until =
      patienceMs === undefined ? stop : AbortSignal.any([stop, AbortSignal.timeout(patienceMs)]);
    const answers = new Map<string, T>();
    await Promise.all(
      some.map(async ([name, redis]) => {
        const answer = await answered(name, until, () => ask(runAllOn(redis), name));
        if (answer !== SILENT) answers.set(name, answer);
        else if (!skipSilent) throw new RedisSilent(`Redis (${name}) does not answer`);
      }),
    );
    return answers;
  }

  const compareAll = async (some: typeof named, count: number): Promise<PartitionMap> => {
    await ofEach(some, async (runAll, name) => {
      noteLost(name, await compareFormat(runAll, count));
    });
    return new PartitionMap(count);
  };

  if (configured !== undefined) return await compareAll(named, configured);
  const stored = await ofEach(named, storedPartitions);
  const inOrder = named.map(([name]) => stored.get(name));
  return await compareAll(
    named.filter(([name]) => stored.has(name)),
    inOrder.find((each) => each !== undefined) ?? DEFAULT_PARTITIONS,
  );
}

/**
 * Checks one region alone against the home's number. Resolves once it is the same, or the process
 * is stopped.
 */
export async function openRegion(
  { count }: PartitionMap,
  name: string,
  redis: Redis,
  stop: AbortSignal,
): Promise<void> {
  const region = { [`region ${name}`]: redis };
  await openPartitions(count, region, stop, { skipSilent: true });
}

function runAllOn(redis: Redis): RunAll {
  return async (script, each) => await Promise.all(each.map((args) => run(redis, script, args)));
}

function noteLost(name: string, reply: FormatReply): void {
  if (reply.kind === "differs") throw new FormatDiffers(`Redis (${name}): ${reply.why}`);
  if (reply.lost.length === 0) return;
  logLost(name, reply.lost);
}

function logLost(name: string, lost: readonly number[]): void {
  getLogger(["fanfare", "format"]).error(
    "Redis ({name}) has lost the data of partitions {lost}: the records role fills them again; a desk's accounts are restored by desk:restore",
    { name, lost: lost.join(", ") },
  );
}

const LOOK_EVERY_MS = 1_000;

/**
 * Reads a Redis' headers once a second, until stopped. A Redis that was flushed or lost its disk is
 * reported in the log while the process runs. Rejects if it comes back with another format.
 */
export async function watchFormat(
  partitions: PartitionMap,
  name: string,
  redis: Redis,
  stop: AbortSignal,
): Promise<void> {
  const { count } = partitions;
  const keys = partitions.all().map(formatKey);
  let known = "";
  while (!stop.aborted) {
    // Ends early, and by a rejection, when stopped.
    await setTimeout(LOOK_EVERY_MS, undefined, { signal: stop }).catch(() => undefined);
    const reads = keys.map((key) => redis.send("HMGET", [key, ...HEADER_FIELDS]));
    // It does not answer; its users report that.
    const headers = await Promise.all(reads).catch(() => undefined);
    if (headers === undefined || stop.aborted) continue;
    const found = headers.map((raw) => compareHeader(raw, count));
    for (const each of found) {
      if (typeof each === "object") throw new FormatDiffers(`Redis (${name}): ${each.why}`);
    }
    const lost = [...found.keys()].filter((partition) => found[partition] === "lost");
    if (lost.join() === known) continue;
    if (lost.length > 0) logLost(name, lost);
    else getLogger(["fanfare", "format"]).info("Redis ({name}) is set up again", { name });
    known = lost.join();
  }
}

/** Asks again until the Redis answers; returns `SILENT` if it has not in time. */
async function answered<T>(
  name: string,
  until: AbortSignal,
  ask: () => Promise<T>,
): Promise<T | typeof SILENT> {
  const aborted = Promise.withResolvers<typeof SILENT>();
  const onAbort = (): void => {
    aborted.resolve(SILENT);
  };
  until.addEventListener("abort", onAbort);
  const note = globalThis.setTimeout(() => {
    getLogger(["fanfare", "format"]).warn("Redis ({name}) does not answer yet", { name });
  }, NOTE_AFTER_MS);
  try {
    while (!until.aborted) {
      try {
        return await Promise.race([ask(), aborted.promise]);
      } catch (error) {
        if (error instanceof FormatDiffers || error instanceof TypeError) throw error;
        // It does not answer, or is not ready yet.
        await Promise.race([Bun.sleep(PAUSE_MS), aborted.promise]);
      }
    }
    return SILENT;
  } finally {
    clearTimeout(note);
    until.removeEventListener("abort", onAbort);
  }
}

/**
 * A Redis to which nothing is sent before it is checked, for roles that must not wait for a region.
 */
export function onceCompared(redis: Redis, compared: Promise<unknown>): Redis {
  return {
    ...(redis.primaries
      ? {
          primaries: async () => {
            await compared;
            return (await redis.primaries?.()) ?? [];
          },
        }
      : {}),
    async send(command, args) {
      await compared;
      return await redis.send(command, args);
    },
    close() {
      redis.close();
    },
  };
}
