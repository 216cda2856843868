/**
 * Rosters that a worker found behind: its Redis lost the version that a job
 * names, in a failover or a restart. The worker leaves the channel's id in its
 * region partition, and the channel is checked against the records here.
 */
import { getLogger } from "@logtape/logtape";
import type { ChannelId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Records } from "../../records/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import { nameOf } from "../../../http/place.ts";
import type { Redis } from "../../runtime/redis.ts";
import { checkChannel } from "./check.ts";
import type { Targets } from "./projector.ts";

/** A job whose deadline is a second away waits for this. */
const EVERY_MS = 250;

export async function followRosterRequests(
  records: Records,
  targets: Targets,
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  const log = getLogger(["fanfare", "roster"]);
  while (!stop.aborted) {
    for (const [region, redis] of targets.regions) {
      if (stop.aborted) return;
      await checkRequested(records, targets, redis).catch((error: unknown) => {
        // The request stays where it is, and no other region waits for this one.
        log.warn("rosters of {region} could not be checked: {error}", {
          region,
          error: nameOf(error),
        });
      });
    }
    await clock.sleep(EVERY_MS);
  }
}

/** Answers how many channels were checked. */
export async function checkRequested(
  records: Records,
  targets: Targets,
  redis: Redis,
): Promise<number> {
  const keys = targets.partitions.all().map((partition) => new RegionKeys(partition).rostersBehind);
  const requested = (await Promise.all(
    keys.map((key) => redis.send("SMEMBERS", [key])),
  )) as string[][];
  const channels = new Set(requested.flat() as ChannelId[]);
  for (const channel of channels) {
    // Taken first: a request that comes meanwhile is one more.
    await Promise.all(keys.map((key) => redis.send("SREM", [key, channel])));
    try {
      await checkChannel(records, targets, channel);
    } catch (error) {
      await redis.send("SADD", [keys[0] ?? "", channel]);
      throw error;
    }
  }
  return channels.size;
}
