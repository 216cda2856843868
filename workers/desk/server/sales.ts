/** Selling contracts back, and finding sold ones. */
import { findContracts, type Contract } from "../stored/books.ts";
import { sellContracts } from "../stored/sell.ts";
import type { SignalId } from "../../../domain/ids.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import type { CloseBatchBody } from "../../venues/desk/api.ts";
import type { SaleAnswer, SaleLookUp } from "../../venues/desk/api.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { spread } from "./contracts.ts";

export async function sell(
  redis: Redis,
  partitions: PartitionMap,
  server: string,
  { close, orders }: CloseBatchBody,
): Promise<SaleAnswer[]> {
  return await spread(orders, partitions, async (partition, some) => {
    const call = { partition, partitions: partitions.count, server };
    const reply = await run(redis, sellContracts, { ...call, close, orders: some });
    return reply.contracts.map((each, index): SaleAnswer => {
      const found = describeSale(each, close, reply.nowMs);
      const stakeCents = some.stakesCents[index] ?? 0;
      return found.kind === "open"
        ? { kind: "rejected", stakeCents, reason: "QUOTE_STALE" }
        : found;
    });
  });
}

export async function findSold(
  redis: Redis,
  partitions: PartitionMap,
  { close, orders }: CloseBatchBody,
): Promise<SaleLookUp[]> {
  return await spread(orders, partitions, async (partition, { bucket, shard, names }) => {
    const args = { partition, bucket, shard, names };
    const { nowMs, found } = await run(redis, findContracts, args);
    return found.map((each) => describeSale(each, close, nowMs));
  });
}

/** A contract that another close sold, or that has expired, is not open. */
function describeSale(contract: Contract | undefined, close: SignalId, nowMs: number): SaleLookUp {
  if (contract?.sale && contract.sale.close === close) {
    const { returnCents, closePriceMicros, closedAtMs } = contract.sale;
    const { stakeCents } = contract;
    return { kind: "closed", stakeCents, returnCents, closePriceMicros, closedAtMs };
  }
  const isOpen = contract?.state === "open" && nowMs < contract.terms.expiresAtMs;
  return isOpen ? { kind: "open" } : { kind: "not-open" };
}
