/** The users' accounts at the end of a run, as `--books` writes them: the maps omit zeros. */
import type { AccountId } from "../../../domain/ids.ts";
import { readAccounts } from "../../desk/stored/accounts.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface WrittenBooks {
  readonly balance: number;
  /** Money that is reserved for triggers, in cents like the balance. */
  readonly reserved: number;
  readonly shares: Readonly<Record<string, number>>;
  readonly reservedShares: Readonly<Record<string, number>>;
}

const USERS_AT_ONCE = 200;

/** In the order of their names, without users who never had an account. */
export async function collectBooks(
  redis: Redis,
  partitions: PartitionMap,
  users: Iterable<string>,
): Promise<Readonly<Record<string, WrittenBooks>>> {
  const books = new Map<string, WrittenBooks>();
  const byPartition = Map.groupBy([...users].sort(), (user) =>
    partitions.ofAccount(user as AccountId),
  );
  for (const [partition, of] of byPartition) {
    for (let start = 0; start < of.length; start += USERS_AT_ONCE) {
      const some = of.slice(start, start + USERS_AT_ONCE);
      for (const [index, account] of (
        await run(redis, readAccounts, { partition, users: some })
      ).entries()) {
        if (!account) continue;
        const { balanceCents, reservedCents, shares, reservedShares } = account;
        books.set(some[index] ?? "", {
          balance: balanceCents,
          reserved: reservedCents,
          shares: sorted(shares),
          reservedShares: sorted(reservedShares),
        });
      }
    }
  }
  return Object.fromEntries([...books].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sorted(of: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));
}
