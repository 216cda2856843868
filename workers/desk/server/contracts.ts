/**
 * Opening and finding contracts: the orders of a call go to their accounts' partitions,
 * each in one script.
 */
import { findContracts, type Contract } from "../stored/books.ts";
import { openContracts, type OpenReply, type OrderColumns } from "../stored/open.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import type { OpenAnswer, OrderBatchBody } from "../../venues/desk/api.ts";
import type { OrderAnswer, OrderLookUp } from "../../venues/desk/api.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/** The payout of a contract that wins: 85 %. */
export const PAYOUT_BP = 8_500;

export async function open(
  redis: Redis,
  partitions: PartitionMap,
  server: string,
  batch: OrderBatchBody,
): Promise<OpenAnswer> {
  const { symbol, contract, durationSeconds, validUntilMs } = batch;
  if (new Set(batch.orders.names).size < batch.orders.names.length) {
    return { answers: await openDistinct(redis, partitions, server, batch) };
  }
  const act = (partition: number, orders: OrderColumns): Promise<OpenReply> =>
    run(redis, openContracts, {
      partition,
      partitions: partitions.count,
      server,
      symbol,
      contract,
      durationMs: durationSeconds * 1000,
      validUntilMs,
      payoutBp: PAYOUT_BP,
      orders,
    });
  const only = findOnlyPartition(batch.orders, partitions);
  if (only !== undefined) {
    const reply = await act(only, batch.orders);
    return reply.kind === "all-opened"
      ? { opened: reply.terms }
      : { answers: listAnswers(reply, batch.orders) };
  }
  const answers = await spread(batch.orders, partitions, async (partition, orders) =>
    listAnswers(await act(partition, orders), orders),
  );
  return { answers };
}

/** If an id occurs more than once in a call, it is one order, the first. */
async function openDistinct(
  redis: Redis,
  partitions: PartitionMap,
  server: string,
  batch: OrderBatchBody,
): Promise<OrderAnswer[]> {
  const { names } = batch.orders;
  const firsts = [...names.keys()].filter((index) => names.indexOf(names[index] ?? "") === index);
  const orders = columnsAt(batch.orders, firsts);
  const reply = await open(redis, partitions, server, { ...batch, orders });
  const answers =
    "opened" in reply
      ? listAnswers({ kind: "all-opened", terms: reply.opened }, orders)
      : reply.answers;
  return names.flatMap((name) => answers[orders.names.indexOf(name)] ?? []);
}

export async function lookUp(
  redis: Redis,
  partitions: PartitionMap,
  batch: OrderBatchBody,
): Promise<OrderLookUp[]> {
  return await spread(batch.orders, partitions, async (partition, { bucket, shard, names }) => {
    const args = { partition, bucket, shard, names };
    const { nowMs, found } = await run(redis, findContracts, args);
    const missing: OrderLookUp = { kind: nowMs > batch.validUntilMs ? "absent" : "pending" };
    return found.map((each) => (each ? placed(each) : missing));
  });
}

function listAnswers(reply: OpenReply, { stakesCents }: OrderColumns): OrderAnswer[] {
  if (reply.kind === "all-opened") {
    return stakesCents.map((stakeCents) => placed({ stakeCents, terms: reply.terms }));
  }
  return reply.opened.map((each, index) =>
    each.kind === "opened"
      ? placed(each)
      : { kind: "rejected", stakeCents: stakesCents[index] ?? 0, reason: each.reason },
  );
}

function placed({ stakeCents, terms }: Pick<Contract, "stakeCents" | "terms">): OrderAnswer {
  return { kind: "placed", stakeCents, ...terms };
}

/**
 * A shard's accounts are in one partition if copier and desk have the same number of
 * partitions.
 */
function findOnlyPartition(
  { accounts: [first, ...others] }: OrderColumns,
  partitions: PartitionMap,
): number | undefined {
  if (first === undefined) return undefined;
  const partition = partitions.ofAccount(first);
  return others.every((account) => partitions.ofAccount(account) === partition)
    ? partition
    : undefined;
}

/**
 * Executes each partition's orders in one call, and returns the answers in the order of
 * the batch.
 */
export async function spread<T>(
  orders: OrderColumns,
  partitions: PartitionMap,
  act: (partition: number, orders: OrderColumns) => Promise<T[]>,
): Promise<T[]> {
  const { accounts } = orders;
  const groups = Map.groupBy(accounts.keys(), (index) => {
    const account = accounts[index];
    return account === undefined ? 0 : partitions.ofAccount(account);
  });
  const answers = new Array<T>(accounts.length);
  await Promise.all(
    [...groups].map(async ([partition, indexes]) => {
      const answered = await act(partition, columnsAt(orders, indexes));
      for (const [place, index] of indexes.entries()) {
        const answer = answered[place];
        if (answer !== undefined) answers[index] = answer;
      }
    }),
  );
  return answers;
}

function columnsAt(
  { bucket, shard, names, accounts, stakesCents }: OrderColumns,
  indexes: readonly number[],
): OrderColumns {
  const pick = <Each>(column: readonly Each[]): Each[] =>
    indexes.flatMap((index) => column[index] ?? []);
  return {
    bucket,
    shard,
    names: pick(names),
    accounts: pick(accounts),
    stakesCents: pick(stakesCents),
  };
}
