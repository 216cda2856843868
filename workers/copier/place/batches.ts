/**
 * Divides the copies of a job into the batches that a broker takes: a batch has
 * one symbol, one contract and one end. Most jobs are one batch. Plans that
 * reverse, rename or shorten make more, and these are sent together. An order that
 * may only be asked about is never in a batch with one that may be sent.
 */
import type { Copy } from "../../../domain/copier/copy.ts";
import type { Job } from "../../../redis/job.ts";
import type { OrderBatch } from "../brokers/port.ts";

export interface CopyBatch extends OrderBatch {
  /** All are in the same state. */
  readonly orders: readonly Copy[];
}

export function batchCopies({ signal, shard }: Job, copies: readonly Copy[]): CopyBatch[] {
  const { symbol, contract, durationSeconds, deadlineMs } = signal;
  const batches = new Map<string, CopyBatch & { readonly orders: Copy[] }>();
  for (const copy of copies) {
    const { terms, state } = copy;
    if (state === "skipped") continue;
    const key = terms ? `${state} ${terms.symbol} ${terms.contract} ${terms.validUntilMs}` : state;
    let batch = batches.get(key);
    if (!batch) {
      batch = {
        symbol: terms?.symbol ?? symbol,
        contract: terms?.contract ?? contract,
        durationSeconds,
        validUntilMs: terms?.validUntilMs ?? deadlineMs,
        shard,
        orders: [],
      };
      batches.set(key, batch);
    }
    batch.orders.push(copy);
  }
  return [...batches.values()];
}
