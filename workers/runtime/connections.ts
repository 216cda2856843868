/**
 * The Redis connections of a process. Every Redis that a role or a command
 * works on is opened here, by its name in the settings, and closed here.
 */
import { PartitionMap } from "../../redis/keys.ts";
import type { RedisSettings, RegionSettings } from "./env.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";

export interface Connections {
  /** The Redis of FANFARE_REDIS_URL: the home's, or that of the region where the role works. */
  readonly redis: Redis;
  /** Region → its Redis, for what reaches every region. */
  readonly regions: ReadonlyMap<string, Redis>;
  /** How the keys of each are spread. */
  readonly partitions: PartitionMap;
  /** One more connection to the same Redis as this one, for reads that block. Its user closes it. */
  another(redis: Redis): Redis;
}

export interface OpenConnections extends Connections {
  close(): void;
}

/** Which Redis it is, in words for people. */
export type Connect = (url: string, which: string) => Redis;

/** Each is opened when it is first used: not every role uses all that its settings name. */
export function openConnections(
  settings: Partial<RedisSettings & RegionSettings>,
  connect: Connect = connectRedis,
): OpenConnections {
  const urls = new Map<Redis, { readonly url: string; readonly which: string }>();
  let redis: Redis | undefined;
  let regions: ReadonlyMap<string, Redis> | undefined;

  function open(url: string | undefined, which: string): Redis {
    if (url === undefined) throw new Error("this role's settings name no Redis");
    const opened = connect(url, which);
    urls.set(opened, { url, which });
    return opened;
  }

  return {
    get redis() {
      return (redis ??= open(settings.FANFARE_REDIS_URL, "Redis"));
    },
    get regions() {
      return (regions ??= new Map(
        Object.entries(regionUrls(settings)).map(([name, url]) => [
          name,
          open(url, `the Redis of region ${name}`),
        ]),
      ));
    },
    get partitions() {
      return new PartitionMap(settings.FANFARE_PARTITIONS ?? 0);
    },
    another(of) {
      const { url, which } = urls.get(of) ?? {};
      if (url === undefined || which === undefined) throw new Error("not one of these connections");
      return connect(url, which);
    },
    close() {
      for (const opened of urls.keys()) opened.close();
    },
  };
}

function regionUrls({
  FANFARE_REGION_REDIS_URLS: urls,
  FANFARE_REGION: region,
  FANFARE_REDIS_URL: url,
}: Partial<RedisSettings & RegionSettings>): Readonly<Record<string, string>> {
  if (urls !== undefined) return urls;
  return region === undefined || url === undefined ? {} : { [region]: url };
}
