/** The desk's own books as a list: every contract of a bucket, a page for each partition. */
import { parseBucket } from "../stored/books.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { ContractsAnswer } from "../../venues/desk/api.ts";
import type { Redis } from "../../runtime/redis.ts";

export async function listContracts(
  redis: Redis,
  partitions: PartitionMap,
  bucket: string,
  partition: number,
): Promise<ContractsAnswer> {
  const key = new DeskKeys(partition).contracts(bucket);
  const rows = new Map<string, string>();
  // In steps, so that trading does not wait until a whole bucket is read.
  for (let cursor = "0"; ;) {
    const scan = [key, cursor, "COUNT", "100"];
    const [next, flat] = (await redis.send("HSCAN", scan)) as [string, string[]];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      rows.set(flat[index] ?? "", flat[index + 1] ?? "");
    }
    if (next === "0") break;
    cursor = next;
  }
  const contracts = parseBucket(bucket, Object.fromEntries(rows)).map(
    ({ clientOrderId, account, stakeCents, state, sale, terms: { openedAtMs } }) => ({
      clientOrderId,
      account,
      stakeCents,
      openedAtMs,
      state,
      ...(sale ? { soldBy: sale.close } : {}),
    }),
  );
  const next = partition + 1;
  return { next: next < partitions.count ? String(next) : null, contracts };
}
