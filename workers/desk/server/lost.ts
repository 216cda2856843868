/**
 * The check at the start of a desk server: a partition without accounts is new, or it lost
 * them and waits for `desk:restore`.
 */
import type { PartitionMap } from "../../../redis/keys.ts";
import type { AuditStore } from "../audit/port.ts";
import { isWhole, noteWhole } from "../stored/whole.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/**
 * Marks new partitions. Returns those whose audit contains accounts and whose Redis
 * contains none; these refuse.
 */
export async function findLost(
  redis: Redis,
  store: AuditStore,
  partitions: PartitionMap,
): Promise<number[]> {
  const lost: number[] = [];
  for (const partition of partitions.all()) {
    if (await run(redis, isWhole, { partition })) continue;
    if (await hadAccounts(store, partition)) lost.push(partition);
    else await run(redis, noteWhole, { partition });
  }
  return lost;
}

async function hadAccounts(store: AuditStore, partition: number): Promise<boolean> {
  for await (const { fields } of store.read({ partition })) {
    // The audit also contains servers that started and stopped.
    if (fields.has("balances")) return true;
  }
  return false;
}
