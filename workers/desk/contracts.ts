/** Opening and finding contracts: a call's orders go to their accounts' partitions, each in one script. */
import {
  bucketOf,
  deposit,
  findContracts,
  openContracts,
  type Contract,
  type ContractOrder,
  type DepositArgs,
  type Opened,
} from "../../redis/desk-contracts.ts";
import type { AccountId } from "../../domain/ids.ts";
import { DeskKeys, type PartitionMap } from "../../redis/keys.ts";
import type { OrderBatchBody } from "../brokers/desk/api.ts";
import type { BrokerAnswer, LookUp } from "../brokers/port.ts";
import { run, type Redis } from "../redis-client.ts";

/** What a winning contract pays on top of its stake: 85 %. */
export const PAYOUT_BP = 8_500;

export async function open(
  redis: Redis,
  partitions: PartitionMap,
  batch: OrderBatchBody,
): Promise<BrokerAnswer[]> {
  const { symbol, contract, durationSeconds, validUntilMs } = batch;
  return await spread(batch, partitions, async (partition, bucket, orders) => {
    const opened = await run(redis, openContracts, {
      partition,
      bucket,
      symbol,
      contract,
      durationMs: durationSeconds * 1000,
      validUntilMs,
      payoutBp: PAYOUT_BP,
      orders,
    });
    return opened.map((each, index) => answerOf(each, orders[index]?.stakeCents ?? 0));
  });
}

export async function lookUp(
  redis: Redis,
  partitions: PartitionMap,
  batch: OrderBatchBody,
): Promise<LookUp[]> {
  return await spread(batch, partitions, async (partition, bucket, orders) => {
    const ids = orders.map(({ clientOrderId }) => clientOrderId);
    const { nowMs, found } = await run(redis, findContracts, { partition, bucket, ids });
    const missing: LookUp = { kind: nowMs > batch.validUntilMs ? "absent" : "pending" };
    return found.map((each) => (each ? placed(each) : missing));
  });
}

/** What is free in each account, in their order; null for an account that is not known. */
export async function balancesOf(
  redis: Redis,
  partitions: PartitionMap,
  accounts: readonly AccountId[],
): Promise<(number | null)[]> {
  const found = new Map<AccountId, number>();
  const groups = Map.groupBy(accounts, (account) => partitions.ofAccount(account));
  await Promise.all(
    [...groups].map(async ([partition, group]) => {
      const key = new DeskKeys(partition).balances;
      const values = (await redis.send("HMGET", [key, ...group])) as (string | null)[];
      for (const [index, account] of group.entries()) {
        const value = values[index] ?? null;
        if (value !== null) found.set(account, Number(value));
      }
    }),
  );
  return accounts.map((account) => found.get(account) ?? null);
}

export async function depositAll(
  redis: Redis,
  partitions: PartitionMap,
  deposits: DepositArgs["deposits"],
): Promise<number> {
  const groups = Map.groupBy(deposits, ({ account }) => partitions.ofAccount(account));
  const applied = await Promise.all(
    [...groups].map(([partition, group]) => run(redis, deposit, { partition, deposits: group })),
  );
  return applied.reduce((sum, each) => sum + each, 0);
}

function answerOf(opened: Opened, stakeCents: number): BrokerAnswer {
  if (opened.kind === "rejected") return { kind: "rejected", stakeCents, reason: opened.reason };
  return placed(opened);
}

function placed({ stakeCents, terms }: Pick<Contract, "stakeCents" | "terms">): BrokerAnswer {
  return { kind: "placed", stakeCents, ...terms };
}

/** Does each partition's and bucket's orders in one go and puts the answers back into the order of the batch. */
async function spread<T>(
  { orders }: OrderBatchBody,
  partitions: PartitionMap,
  act: (partition: number, bucket: string, orders: readonly ContractOrder[]) => Promise<T[]>,
): Promise<T[]> {
  const groups = Map.groupBy(orders.keys(), (index) => {
    const order = orders[index];
    return order ? `${partitions.ofAccount(order.account)} ${bucketOf(order.clientOrderId)}` : "";
  });
  const answers = new Array<T>(orders.length);
  await Promise.all(
    [...groups].map(async ([key, indexes]) => {
      const [partition = "", bucket = ""] = key.split(" ");
      const group = indexes.flatMap((index) => orders[index] ?? []);
      const answered = await act(Number(partition), bucket, group);
      for (const [place, index] of indexes.entries()) {
        const answer = answered[place];
        if (answer !== undefined) answers[index] = answer;
      }
    }),
  );
  return answers;
}
