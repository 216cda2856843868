/**
 * Opens a Redis. No role uses one before its format and its number of partitions are compared with
 * this process's settings. A Redis that does not answer is waited for.
 */
import { getLogger } from "@logtape/logtape";
import {
  compareFormat,
  DEFAULT_PARTITIONS,
  storedPartitions,
  type FormatReply,
  type RunAll,
} from "../../redis/format.ts";
import { PartitionMap } from "../../redis/keys.ts";
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
  getLogger(["fanfare", "format"]).error(
    "Redis ({name}) has lost the data of partitions {lost}: run roster:rebuild and desk:restore",
    { name, lost: reply.lost.join(", ") },
  );
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
  const note = setTimeout(() => {
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
