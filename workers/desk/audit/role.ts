/**
 * Drains the desk's audit streams into the audit's store. An entry is acknowledged and
 * trimmed only after it is written. So while the store is away, the streams retain the
 * entries.
 */
import { constants, setPriority } from "node:os";
import { DeskKeys } from "../stored/keys.ts";
import { consume } from "../../runtime/consume.ts";
import type { Role } from "../../runtime/role.ts";
import { AUDIT_GROUPS } from "../stored/audit.ts";
import { AuditEnv } from "./env.ts";
import { openAudit } from "./open.ts";
import { recordAudit } from "./record.ts";

const BATCH = 200;
/**
 * Each write waits for the disk, or for a majority: a write of many entries costs hardly
 * more than a write of one.
 */
const GATHER_MS = 50;
/** Longer than a write that runs into the store's time limit. */
const RECLAIM_IDLE_MS = 60_000;

export const role: Role<typeof AuditEnv> = {
  settings: AuditEnv,
  async run({ settings, connections, clock, metrics, stop, ready }) {
    // On a single machine this leaves the cores to trading.
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
    const store = await openAudit(settings);
    const { redis, partitions } = connections;
    const loops = partitions.all().map((partition) =>
      consume({
        connect: () => connections.another(redis),
        redis,
        clock,
        stream: new DeskKeys(partition).audit,
        group: AUDIT_GROUPS[0],
        consumer: settings.FANFARE_CONSUMER,
        batch: BATCH,
        concurrency: 1,
        reclaimIdleMs: RECLAIM_IDLE_MS,
        gatherMs: GATHER_MS,
        trimBelow: AUDIT_GROUPS,
        handle: recordAudit(store, partition),
        count: metrics.entries("audit", AUDIT_GROUPS[0]),
        stop,
      }),
    );
    ready();
    await Promise.all(loops);
    await store.close();
  },
};
