/** Opens everything that the reconciler reads from, by the workers' configuration. */
import { PartitionMap } from "../../../redis/keys.ts";
import { connectBroker } from "../brokers/registry.ts";
import { connectDesk } from "../brokers/desk/desk.ts";
import type { Broker } from "../brokers/port.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { regionRedisUrls, type WorkerEnv } from "../../runtime/env.ts";
import { openRecords } from "../../records/open.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import type { Sources } from "./sources.ts";

export interface OpenSources extends Sources {
  close(): Promise<void>;
}

export async function openSources(env: WorkerEnv): Promise<OpenSources> {
  const brokers = brokersOf(env).map((each) => [each.name, each] as const);
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
    brokers: new Map(brokers),
    clock: SYSTEM_CLOCK,
    async close() {
      for (const redis of [home, ...regions.values()]) redis.close();
      await records.close();
    },
  };
}

/** The broker that the workers stand beside, and the house's own desk where there is one. */
function brokersOf(env: WorkerEnv): Broker[] {
  const { FANFARE_BROKER_URL: url, FANFARE_DESK_TOKEN: token } = env;
  const desk = url !== undefined && token !== undefined;
  return [connectBroker(env), ...(desk ? [connectDesk(env.FANFARE_DESK_URL, token)] : [])];
}
