/** The free balances of accounts, and deposits into them. */
import * as v from "valibot";
import { ID_PATTERN, type AccountId } from "../../../domain/ids.ts";
import { failure } from "../../../domain/result.ts";
import { count, id } from "../../../http/field.ts";
import { reply } from "../../../http/operation.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { BalancesSchema, DepositsSchema, ValuesAnswerSchema } from "../../venues/desk/api.ts";
import { deposit, type DepositArgs } from "../stored/deposit.ts";
import { DeskKeys } from "../stored/keys.ts";
import { batch, type Desk, type DeskService } from "./service.ts";

export function serveAccounts(service: DeskService, { redis, partitions, server }: Desk): void {
  service.serve({
    method: "POST",
    path: "/v1/balances",
    operationId: "readBalances",
    summary: "What is free in each of some accounts, in cents",
    permission: "desk:admin",
    body: batch(BalancesSchema),
    answers: {
      200: {
        description: "In the order of the accounts; null for one that is not known.",
        body: ValuesAnswerSchema,
      },
    },
    problems: [],
    async handle({ body }) {
      return reply({ answers: await balancesOf(redis, partitions, body.accounts) });
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/deposits",
    operationId: "deposit",
    summary: "Pay money into accounts",
    permission: "desk:admin",
    body: batch(DepositsSchema),
    idempotency: "Taken as everywhere; a deposit is applied once by its own `id`.",
    answers: {
      200: {
        description: "How many were applied; the others were before.",
        body: v.object({ applied: count }),
      },
    },
    problems: [],
    async handle({ body }) {
      return reply({ applied: await depositAll(redis, partitions, server, body.deposits) });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/accounts/:account",
    operationId: "readAccount",
    summary: "What is free in an account",
    permission: "desk:admin",
    params: { account: { pattern: ID_PATTERN, unknown: "ROUTE_UNKNOWN" } },
    answers: {
      200: { description: "As of now.", body: v.object({ account: id, balanceCents: count }) },
    },
    problems: [],
    async handle({ params: { account } }) {
      const [balanceCents] = await balancesOf(redis, partitions, [account as AccountId]);
      return typeof balanceCents === "number"
        ? reply({ account, balanceCents })
        : failure("ROUTE_UNKNOWN");
    },
  });
}

/** The free balance of each account, in their order; null for an unknown account. */
async function balancesOf(
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

async function depositAll(
  redis: Redis,
  partitions: PartitionMap,
  server: string,
  deposits: DepositArgs["deposits"],
): Promise<number> {
  const groups = Map.groupBy(deposits, ({ account }) => partitions.ofAccount(account));
  const applied = await Promise.all(
    [...groups].map(([partition, group]) =>
      run(redis, deposit, { partition, partitions: partitions.count, server, deposits: group }),
    ),
  );
  return applied.reduce((sum, each) => sum + each, 0);
}
