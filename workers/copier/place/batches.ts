/**
 * The copies of a job as the broker takes them: a batch is of one symbol, one
 * contract and one end. Most jobs are one batch; plans that reverse, rename or
 * shorten make more, and these go out together. What may only be asked about is
 * never in one batch with what may be sent.
 */
import type { Copy } from "../../../domain/copier/copy.ts";
import type { Job } from "../../../redis/job.ts";
import type { OrderBatch } from "../brokers/port.ts";

export interface CopyBatch extends OrderBatch {
  /** All of them in the same state. */
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
