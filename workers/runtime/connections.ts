/**
 * The Redis connections of a process. Every Redis that a role or a command uses is opened here by
 * its name in the settings, checked before anything is read or written there (its format and number
 * of partitions must match), and closed here.
 */
import { PartitionMap } from "../../redis/keys.ts";
import type { RedisSettings, RegionSettings } from "./env.ts";
import { onceCompared, openPartitions, openRegion, watchFormat } from "./format.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";

export interface Connections {
  /** The Redis of FANFARE_REDIS_URL: the home's, or that of the region where the role works. */
  readonly redis: Redis;
  /** Region → its Redis, for work on every region. */
  readonly regions: ReadonlyMap<string, Redis>;
  /** How keys are spread over partitions. */
  readonly partitions: PartitionMap;
  /** One more connection to the same Redis as this one, for reads that block. Its user closes it. */
  another(redis: Redis): Redis;
}

export interface OpenConnections extends Connections {
  /** Rejects if a Redis's format differs. */
  readonly differs: Promise<never>;
  close(): void;
}

/** A description of the Redis, for messages. */
export type Connect = (url: string, which: string) => Redis;

export interface OpenOptions {
  /** Absent: no time limit. */
  readonly stop?: AbortSignal;
  readonly connect?: Connect;
  /**
   * For commands, which do not wait as long as roles: after this time a Redis that does not answer
   * is not checked, and calls to it fail by themselves.
   */
  readonly patienceMs?: number;
  /** For what sets the number of partitions itself: nothing is compared, and `partitions` is empty. */
  readonly isUncompared?: boolean;
}

type Settings = Partial<RedisSettings & RegionSettings>;

/** Resolves once home is checked; a region that does not answer delays nothing else. */
export async function openConnections(
  settings: Settings,
  {
    stop = new AbortController().signal,
    connect = connectRedis,
    patienceMs,
    isUncompared = false,
  }: OpenOptions = {},
): Promise<OpenConnections> {
  const origins = new Map<Redis, { readonly url: string; readonly which: string }>();
  function open(url: string, which: string): Redis {
    const opened = connect(url, which);
    origins.set(opened, { url, which });
    return opened;
  }

  const { FANFARE_REDIS_URL: homeUrl, FANFARE_PARTITIONS: configured } = settings;
  const home = homeUrl === undefined ? undefined : open(homeUrl, "Redis");
  const opened = Object.entries(regionUrls(settings)).map(
    ([name, url]) => [name, open(url, `the Redis of region ${name}`)] as const,
  );
  const all = {
    ...(home && { home }),
    // A command takes the number of partitions from any Redis that answers; a role from home.
    ...(patienceMs === undefined
      ? {}
      : Object.fromEntries(opened.map(([name, redis]) => [`region ${name}`, redis]))),
  };
  const patience = patienceMs === undefined ? {} : { patienceMs, skipSilent: true };
  const partitions =
    isUncompared || Object.keys(all).length === 0
      ? new PartitionMap(isUncompared ? 0 : (configured ?? 0))
      : await openPartitions(configured, all, stop, patience);

  const comparing = opened.map(([name, redis]) =>
    patienceMs === undefined && !isUncompared
      ? ([name, redis, openRegion(partitions, name, redis, stop)] as const)
      : ([name, redis, Promise.resolve()] as const),
  );
  const closed = new AbortController();
  const until = AbortSignal.any([stop, closed.signal]);
  /** A command ends too soon to see a Redis lose anything. */
  const watch = async (name: string, redis: Redis): Promise<void> => {
    if (patienceMs === undefined) await watchFormat(partitions, name, redis, until);
  };
  const differs = new Promise<never>((_, reject) => {
    if (home) watch("home", home).catch(reject);
    for (const [name, redis, compared] of comparing) {
      compared.then(() => watch(`region ${name}`, redis)).catch(reject);
    }
  });
  // It runs beside the role, which may have ended before.
  differs.catch(() => {});
  const regions = new Map(
    comparing.map(([name, redis, compared]) => {
      const region = onceCompared(redis, compared);
      const origin = origins.get(redis);
      if (origin) origins.set(region, origin);
      return [name, region];
    }),
  );

  return {
    get redis() {
      if (!home) throw new Error("this role's settings name no Redis");
      return home;
    },
    regions,
    partitions,
    differs,
    another(of) {
      const { url, which } = origins.get(of) ?? {};
      if (url === undefined || which === undefined) throw new Error("not one of these connections");
      const another = connect(url, which);
      const compared = comparing.find(([name]) => regions.get(name) === of)?.[2];
      return compared ? onceCompared(another, compared) : another;
    },
    close() {
      closed.abort();
      home?.close();
      for (const [, redis] of opened) redis.close();
    },
  };
}

function regionUrls({
  FANFARE_REGION_REDIS_URLS: urls,
  FANFARE_REGION: region,
  FANFARE_REDIS_URL: url,
}: Settings): Readonly<Record<string, string>> {
  if (urls !== undefined) return urls;
  return region === undefined || url === undefined ? {} : { [region]: url };
}
