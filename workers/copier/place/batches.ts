/**
 * The orders of a job as the broker takes them: a batch is of one symbol, one
 * contract and one end. Most jobs are one batch; plans that reverse, rename or
 * shorten make more, and these go out together. What may only be asked about is
 * never in one batch with what may be sent.
 */
import { clientOrderId } from "../../../domain/ids.ts";
import type { Intents } from "../stored/intents.ts";
import type { Job } from "../../../redis/job.ts";
import type { OrderBatch } from "../brokers/port.ts";

export interface IntendedBatch extends OrderBatch {
  readonly askOnly: boolean;
}

export function batchesOf({ signal, shard }: Job, { orders }: Intents): IntendedBatch[] {
  const { symbol, contract, durationSeconds, deadlineMs } = signal;
  const batches = new Map<
    string,
    IntendedBatch & { readonly orders: OrderBatch["orders"][number][] }
  >();
  for (const [subscription, account, stakeCents, terms] of orders) {
    const askOnly = terms?.askOnly !== undefined;
    const key = terms
      ? `${terms.symbol} ${terms.contract} ${terms.validUntilMs} ${askOnly}`
      : NO_TERMS;
    let batch = batches.get(key);
    if (!batch) {
      batch = {
        symbol: terms?.symbol ?? symbol,
        contract: terms?.contract ?? contract,
        durationSeconds,
        validUntilMs: terms?.validUntilMs ?? deadlineMs,
        shard,
        askOnly,
        orders: [],
      };
      batches.set(key, batch);
    }
    batch.orders.push({
      clientOrderId: clientOrderId(signal.id, subscription),
      subscription,
      account,
      stakeCents,
    });
  }
  return [...batches.values()];
}

const NO_TERMS = "undefined undefined undefined false";

/**
 * What was found of each batch, put back into the order of the intents;
 * undefined where nothing was.
 */
export function inOrder<T>(
  { orders }: Intents,
  batches: readonly OrderBatch[],
  found: readonly (readonly T[])[],
): (T | undefined)[] {
  if (batches.length === 1) return orders.map((_, index) => found[0]?.[index]);
  const bySubscription = new Map<string, T>();
  for (const [index, batch] of batches.entries()) {
    for (const [place, { subscription }] of batch.orders.entries()) {
      const value = found[index]?.[place];
      if (value !== undefined) bySubscription.set(subscription, value);
    }
  }
  return orders.map(([subscription]) => bySubscription.get(subscription));
}
