/**
 * Settles the desk's contracts when they are due. One script settles a batch and removes
 * it from the list, so any number of these roles may run.
 */
import { settleBatch } from "../stored/settle.ts";
import type { DeskCall } from "../stored/transaction.ts";
import { DeskKeys } from "../stored/keys.ts";
import { nameOf } from "../../../http/place.ts";
import type { Context, Role } from "../../runtime/role.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { SettleEnv } from "./env.ts";

const PAUSE_MS = 100;
/** Batches in one look; the next ones follow at once. */
const BATCHES = 50;

export const role: Role<typeof SettleEnv> = {
  settings: SettleEnv,
  async run(context) {
    const { settings, connections, stop, ready } = context;
    const { partitions } = connections;
    const { FANFARE_CONSUMER: server } = settings;
    ready();
    await Promise.all(
      partitions
        .all()
        .map((partition) =>
          settlePartition(context, { partition, partitions: partitions.count, server }, stop),
        ),
    );
  },
};

async function settlePartition(
  { connections: { redis }, clock, log }: Context<unknown>,
  call: DeskCall,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    try {
      const settled = await settleDue(redis, call, clock.nowMs());
      if (settled < BATCHES) await clock.sleep(PAUSE_MS);
    } catch (error) {
      const { partition } = call;
      log.warn("settling failed, trying again: {error}", { partition, error: nameOf(error) });
      await clock.sleep(PAUSE_MS);
    }
  }
}

/**
 * Returns how many due batches settled. The time here only decides when to look: the
 * script uses the clock of Redis.
 */
async function settleDue(redis: Redis, call: DeskCall, nowMs: number): Promise<number> {
  const due = (await redis.send("ZRANGE", [
    new DeskKeys(call.partition).expiries,
    "-inf",
    String(nowMs),
    "BYSCORE",
    "LIMIT",
    "0",
    String(BATCHES),
  ])) as string[];
  const settled = await Promise.all(due.map((name) => run(redis, settleBatch, { ...call, name })));
  return settled.filter((each) => each !== "waiting" && each > 0).length;
}
