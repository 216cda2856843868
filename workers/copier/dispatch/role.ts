/** The home worker: completes dispatches that an edge did not finish, and links the signal log's hash chain. */
import type { JWK } from "jose";
import { HomeKeys, PartitionMap } from "../../../redis/keys.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { consume } from "../../runtime/consume.ts";
import { armCrashPoint } from "../../runtime/crash-point.ts";
import { regionRedisUrls, required } from "../../runtime/env.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { chain, signer } from "./chain.ts";
import { redispatch } from "./redispatch.ts";

/** How far the chain may be behind: each batch of a channel is linked in one script and signed once. */
const GATHER_MS = 25;

export const role: Role = async (env, stop, ready) => {
  const sign = await signer(required(env, "FANFARE_ISSUER_KEY") as JWK);
  armCrashPoint(env.FANFARE_CRASH_AT);
  const home = connectRedis(env.FANFARE_REDIS_URL);
  const regions = new Map(
    Object.entries(regionRedisUrls(env)).map(([name, url]) => [name, connectRedis(url)]),
  );
  ready();
  await Promise.all(
    new PartitionMap(env.FANFARE_PARTITIONS).all().flatMap((partition) => [
      redispatch({ home, regions, partition, clock: SYSTEM_CLOCK, stop }),
      consume({
        connect: () => connectRedis(env.FANFARE_REDIS_URL),
        clock: SYSTEM_CLOCK,
        redis: home,
        stream: new HomeKeys(partition).signals,
        group: "chain",
        consumer: env.FANFARE_CONSUMER,
        batch: 100,
        concurrency: 1,
        reclaimIdleMs: 10_000,
        gatherMs: GATHER_MS,
        trimBelow: GROUPS.signals,
        handle: (entries) => chain(home, partition, sign, entries),
        stop,
      }),
    ]),
  );
  for (const region of regions.values()) region.close();
  home.close();
};
