/** Orders that are taken to their outcomes as a worker does it. */
import type { Copy } from "../../domain/copier/copy.ts";
import type { Outcome } from "../../domain/copier/outcome.ts";
import type { SignalId } from "../../domain/ids.ts";
import type { Broker, OrderBatch } from "../../workers/copier/brokers/port.ts";
import type { Allowance } from "../../workers/copier/place/allowance.ts";
import { HaltCache } from "../../workers/copier/place/halt-cache.ts";
import { placeCopies, type Times } from "../../workers/copier/place/place.ts";
import { SYSTEM_CLOCK } from "../../workers/runtime/clock.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { makeCopy } from "./copies.ts";
import { acceptedOpen, jobOf } from "./signals.ts";

export interface How {
  readonly state?: Copy["state"];
  readonly reason?: Copy["reason"];
  readonly allowance?: Allowance | undefined;
}

/** Places a batch's orders of one signal; answers how each of them ended, in its order. */
export async function placeBatch(
  broker: Broker,
  redis: Redis,
  batch: OrderBatch,
  { state = "unsent", reason, allowance }: How = {},
): Promise<Times & { readonly outcomes: readonly Outcome[] }> {
  const { symbol, contract, durationSeconds, validUntilMs, shard, orders } = batch;
  const id = String(orders[0]?.clientOrderId).split(".")[0] as SignalId;
  const terms = { symbol, contract, durationSeconds };
  const signal = acceptedOpen({ id, ...terms, deadlineMs: validUntilMs });
  const copies = orders.map((order) => ({
    ...makeCopy(id, order.subscription),
    ...order,
    state,
    reason,
  }));
  const times = await placeCopies(
    { broker, halts: new HaltCache(redis), allowance, partition: 0, clock: SYSTEM_CLOCK },
    jobOf(signal, { shard }),
    { decidedAtMs: Date.now(), copies },
  );
  const outcomes = copies.map(({ subscription, outcome }) => {
    if (!outcome) throw new Error(`${subscription} has no outcome`);
    return outcome;
  });
  return { ...times, outcomes };
}
