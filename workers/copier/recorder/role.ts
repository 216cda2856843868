/**
 * The recorder writes the home's `signals` and `links` and the regions' `events`
 * to the records. It never delays trading: while the records are away, the streams
 * keep their entries, and none is acknowledged or trimmed before it is written.
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

/**
 * Entries in one write. An entry of `events` is a whole shard, so one write has
 * some thousand orders.
 */
const BATCH = { signals: 500, links: 500, events: 16 } as const;
/**
 * Each write waits for the disk, or for a majority. A write of many entries costs
 * hardly more than a write of one.
 */
const GATHER_MS = 50;
const GROUP = "recorder";
/** Longer than the records' time limit for a write. */
const RECLAIM_IDLE_MS = 60_000;

export const role: Role<typeof RecorderEnv> = {
  settings: RecorderEnv,
  async run({ settings, connections, clock, metrics, stop, ready }) {
    // On a machine shared with trading processes it uses only the time that they leave.
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
