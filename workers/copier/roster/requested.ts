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
  // Each region by itself: one that is away keeps no other waiting.
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

/** Answers how many channels were checked. One that cannot be keeps its request, and no other waiting. */
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
    // Taken first: a request that comes meanwhile is one more.
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
