/**
 * The recorder: follows the home's `signals` and `links` and the regions'
 * `events` into the records. It is behind, never in the way: while the records
 * are cut off the streams keep what is not yet written, and nothing is
 * acknowledged or trimmed before it is.
 */
import { constants, setPriority } from "node:os";
import { HomeKeys, PartitionMap, RegionKeys } from "../../../redis/keys.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { consume, type Consumption } from "../../runtime/consume.ts";
import { armCrashPoint } from "../../runtime/crash-point.ts";
import { regionRedisUrls } from "../../runtime/env.ts";
import type { Role } from "../../runtime/role.ts";
import { openRecords } from "../../records/open.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { recordEvents, recordLinks, recordSignals } from "./record.ts";

/** Entries a write. An entry of `events` is a whole shard, so a write is of some thousand orders. */
const BATCH = { signals: 500, links: 500, events: 16 } as const;
/** Each write waits for the disk, or for a majority: one of many entries costs hardly more than one of one. */
const GATHER_MS = 50;
const GROUP = "recorder";
/** Longer than a write that runs into the records' time limit. */
const RECLAIM_IDLE_MS = 60_000;

export const role: Role = async (env, stop, ready) => {
  // On one machine with those who trade it takes the time that they leave.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  armCrashPoint(env.FANFARE_CRASH_AT);
  const records = await openRecords(env);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS).all();
  const storeAt = (url: string) => ({ redis: connectRedis(url), connect: () => connectRedis(url) });
  const home = storeAt(env.FANFARE_REDIS_URL);
  const regions = Object.values(regionRedisUrls(env)).map(storeAt);

  const follow = (
    kind: keyof typeof BATCH,
    rest: Pick<Consumption, "connect" | "redis" | "stream" | "handle">,
  ): Promise<void> =>
    consume({
      ...rest,
      group: GROUP,
      consumer: env.FANFARE_CONSUMER,
      batch: BATCH[kind],
      concurrency: 1,
      reclaimIdleMs: RECLAIM_IDLE_MS,
      gatherMs: GATHER_MS,
      trimBelow: GROUPS[kind],
      clock: SYSTEM_CLOCK,
      stop,
    });

  const loops = partitions.flatMap((partition) => {
    const keys = new HomeKeys(partition);
    const { events } = new RegionKeys(partition);
    return [
      follow("signals", { ...home, stream: keys.signals, handle: recordSignals(records) }),
      follow("links", { ...home, stream: keys.links, handle: recordLinks(records) }),
      ...regions.map((region) =>
        follow("events", { ...region, stream: events, handle: recordEvents(records, Date.now) }),
      ),
    ];
  });
  ready();
  await Promise.all(loops);
  for (const { redis } of [home, ...regions]) redis.close();
  await records.close();
};
