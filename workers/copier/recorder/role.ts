/**
 * The recorder: follows the home's `signals` and `links` and the regions'
 * `events` into the records. It is behind, never in the way: while the records
 * are cut off the streams keep what is not yet written, and nothing is
 * acknowledged or trimmed before it is.
 */
import { constants, setPriority } from "node:os";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { consume, type Consumption } from "../../runtime/consume.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { Role } from "../../runtime/role.ts";
import { openRecords } from "../../records/open.ts";
import { RecorderEnv } from "./env.ts";
import { recordEvents, recordLinks, recordSignals } from "./record.ts";

/** Entries a write. An entry of `events` is a whole shard, so a write is of some thousand orders. */
const BATCH = { signals: 500, links: 500, events: 16 } as const;
/** Each write waits for the disk, or for a majority: one of many entries costs hardly more than one of one. */
const GATHER_MS = 50;
const GROUP = "recorder";
/** Longer than a write that runs into the records' time limit. */
const RECLAIM_IDLE_MS = 60_000;

export const role: Role<typeof RecorderEnv> = {
  settings: RecorderEnv,
  async run({ settings, connections, clock, metrics, stop, ready }) {
    // On one machine with those who trade it takes the time that they leave.
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
    const records = await openRecords(settings);
    const { redis: home, regions, partitions } = connections;

    const follow = (
      kind: keyof typeof BATCH,
      redis: Redis,
      stream: string,
      handle: Consumption["handle"],
    ): Promise<void> =>
      consume({
        connect: () => connections.another(redis),
        redis,
        stream,
        handle,
        count: metrics.entries(kind, GROUP),
        group: GROUP,
        consumer: settings.FANFARE_CONSUMER,
        batch: BATCH[kind],
        concurrency: 1,
        reclaimIdleMs: RECLAIM_IDLE_MS,
        gatherMs: GATHER_MS,
        trimBelow: GROUPS[kind],
        clock,
        stop,
      });

    const loops = partitions.all().flatMap((partition) => {
      const keys = new HomeKeys(partition);
      const { events } = new RegionKeys(partition);
      return [
        follow("signals", home, keys.signals, recordSignals(records)),
        follow("links", home, keys.links, recordLinks(records)),
        ...[...regions.values()].map((region) =>
          follow("events", region, events, recordEvents(records, clock.nowMs)),
        ),
      ];
    });
    ready();
    await Promise.all(loops);
    await records.close();
  },
};
