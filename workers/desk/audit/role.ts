/**
 * Drains the desk's audit streams into the audit's store. Nothing is
 * acknowledged or trimmed before it is written, so while the store is away the
 * streams keep what it is to get.
 */
import { constants, setPriority } from "node:os";
import { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { consume } from "../../runtime/consume.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import type { Role } from "../../runtime/role.ts";
import { AUDIT_GROUPS } from "../stored/audit.ts";
import { openAudit } from "./open.ts";
import { recordAudit } from "./record.ts";

const BATCH = 200;
/** Each write waits for the disk, or for a majority: one of many entries costs hardly more than one of one. */
const GATHER_MS = 50;
/** Longer than a write that runs into the store's time limit. */
const RECLAIM_IDLE_MS = 60_000;

export const role: Role = async (env, stop, ready) => {
  // On one machine it leaves the cores to those who trade.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const store = await openAudit(env);
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const loops = new PartitionMap(env.FANFARE_PARTITIONS).all().map((partition) =>
    consume({
      connect: () => connectRedis(env.FANFARE_REDIS_URL),
      redis,
      clock: SYSTEM_CLOCK,
      stream: new DeskKeys(partition).audit,
      group: AUDIT_GROUPS[0],
      consumer: env.FANFARE_CONSUMER,
      batch: BATCH,
      concurrency: 1,
      reclaimIdleMs: RECLAIM_IDLE_MS,
      gatherMs: GATHER_MS,
      trimBelow: AUDIT_GROUPS,
      handle: recordAudit(store, partition),
      stop,
    }),
  );
  ready();
  await Promise.all(loops);
  redis.close();
  await store.close();
};
