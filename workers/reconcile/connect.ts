/** Opens everything that the reconciler reads from, by the workers' configuration. */
import { PartitionMap } from "../../redis/keys.ts";
import { connectDesk } from "../brokers/desk/desk.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { regionRedisUrls, required, type WorkerEnv } from "../env.ts";
import { openRecords } from "../records/open.ts";
import { connectRedis } from "../redis-client.ts";
import type { Sources } from "./sources.ts";

export interface OpenSources extends Sources {
  close(): Promise<void>;
}

export async function openSources(env: WorkerEnv): Promise<OpenSources> {
  const desk = connectDesk(env.FANFARE_DESK_URL, required(env, "FANFARE_DESK_TOKEN"));
  const records = await openRecords(env);
  const home = connectRedis(env.FANFARE_REDIS_URL);
  const regions = new Map(
    Object.entries(regionRedisUrls(env)).map(([name, url]) => [name, connectRedis(url)]),
  );
  return {
    home,
    regions,
    records,
    partitions: new PartitionMap(env.FANFARE_PARTITIONS),
    brokers: new Map([[desk.name, desk]]),
    clock: SYSTEM_CLOCK,
    async close() {
      for (const redis of [home, ...regions.values()]) redis.close();
      await records.close();
    },
  };
}
