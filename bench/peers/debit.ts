/**
 * The core of a copy at the desk, for one follower: the stake is taken and the contract noted, once
 * per order. The compared designs do this for each job.
 */
import { defineScript } from "../../redis/script.ts";

const STAKE_CENTS = 100;

interface DebitArgs {
  readonly order: string;
  readonly account: string;
}

export const debit = defineScript<DebitArgs, boolean>({
  name: "debit",
  lua: `
if redis.call('HEXISTS', contracts, order) == 1 then return 0 end
local balance = tonumber(redis.call('HGET', balances, account) or '0')
if balance < ${STAKE_CENTS} then return 0 end
redis.call('HINCRBY', balances, account, -${STAKE_CENTS})
redis.call('HSET', contracts, order, account .. ',${STAKE_CENTS}')
return 1
`,
  keys: {
    balances: () => "balances",
    contracts: () => "contracts",
  },
  args: {
    order: ({ order }) => order,
    account: ({ account }) => account,
  },
  reply: (raw) => raw === 1,
});

/** Balances of the accounts `acct-0` and on, each enough for a hundred orders. */
export function createBalances(accounts: number): string[] {
  return Array.from({ length: accounts }, (_, index) => [`acct-${index}`, "10000"]).flat();
}
