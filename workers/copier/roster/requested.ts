/**
 * Rosters that a worker found to be behind: its Redis lost the version that a job
 * names, in a failover or a restart. The worker writes the channel's id to its
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

/** Short, because a job with a deadline of one second waits for this. */
const EVERY_MS = 250;

export async function followRosterRequests(
  records: Records,
  targets: Targets,
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  const log = getLogger(["fanfare", "roster"]);
  // Each region runs on its own, so none waits for one that is away.
  await Promise.all(
    [...targets.regions].map(async ([region, redis]) => {
      while (!stop.aborted) {
        await checkRequested(records, targets, redis).catch((error: unknown) => {
          log.warn("{region} could not be asked which rosters are behind: {error}", {
            region,
            error: nameOf(error),
          });
        });
        await clock.sleep(EVERY_MS);
      }
    }),
  );
}

/**
 * Returns how many channels were checked. If one cannot be checked, its request
 * remains, and the others do not wait for it.
 */
export async function checkRequested(
  records: Records,
  targets: Targets,
  redis: Redis,
): Promise<number> {
  const keys = targets.partitions.all().map((partition) => new RegionKeys(partition).rostersBehind);
  const requested = (await Promise.all(
    keys.map((key) => redis.send("SMEMBERS", [key])),
  )) as string[][];
  let checked = 0;
  for (const channel of new Set(requested.flat() as ChannelId[])) {
    // Removed first, so that a request that arrives during the check counts as a new one.
    await Promise.all(keys.map((key) => redis.send("SREM", [key, channel])));
    try {
      await checkChannel(records, targets, channel);
      checked += 1;
    } catch (error) {
      getLogger(["fanfare", "roster"]).error(
        "the roster of {channel} could not be checked: {error}",
        {
          channel,
          error: nameOf(error),
        },
      );
      await redis.send("SADD", [keys[0] ?? "", channel]);
    }
  }
  return checked;
}
