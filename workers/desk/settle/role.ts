/**
 * Settles the desk's contracts when they are due. A batch settles in one
 * script that takes it off the list, so any number of these may run.
 */
import { getLogger } from "@logtape/logtape";
import { settleBatch } from "../stored/settle.ts";
import type { DeskCall } from "../stored/transaction.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";

const PAUSE_MS = 100;
/** Batches looked at together; the next ones follow at once. */
const BATCHES = 50;

export const role: Role = async (env, stop, ready) => {
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  ready();
  await Promise.all(
    partitions
      .all()
      .map((partition) =>
        settlePartition(
          redis,
          { partition, partitions: partitions.count, server: env.FANFARE_CONSUMER },
          stop,
        ),
      ),
  );
  redis.close();
};

async function settlePartition(redis: Redis, call: DeskCall, stop: AbortSignal): Promise<void> {
  const log = getLogger(["fanfare", "settle"]).with({ partition: call.partition });
  while (!stop.aborted) {
    try {
      if ((await settleDue(redis, call)) < BATCHES) await Bun.sleep(PAUSE_MS);
    } catch {
      log.warn("settling failed, trying again");
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** Replies how many due batches settled. */
async function settleDue(redis: Redis, call: DeskCall): Promise<number> {
  // By this machine's clock, which only decides when to look: the script goes by that of Redis.
  const due = (await redis.send("ZRANGE", [
    new DeskKeys(call.partition).expiries,
    ...["-inf", String(Date.now()), "BYSCORE", "LIMIT", "0", String(BATCHES)],
  ])) as string[];
  const settled = await Promise.all(due.map((name) => run(redis, settleBatch, { ...call, name })));
  return settled.filter((each) => each !== "waiting" && each > 0).length;
}
