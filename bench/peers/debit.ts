/**
 * The core of a copy at the desk, for one follower: the stake is taken and the contract noted, once
 * per order. The compared designs do this for each job.
 */
import type { Script } from "../../redis/script.ts";

const STAKE_CENTS = "100";

interface DebitArgs {
  readonly order: string;
  readonly account: string;
}

export const debit: Script<DebitArgs, boolean> = {
  name: "debit",
  lua: `
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
local balance = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0')
if balance < tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[2], -ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ',' .. ARGV[3])
return 1
`,
  keys: () => ["balances", "contracts"],
  args: ({ order, account }) => [order, account, STAKE_CENTS],
  reply: (raw) => raw === 1,
};

/** Balances of the accounts `acct-0` and on, each enough for a hundred orders. */
export function createBalances(accounts: number): string[] {
  return Array.from({ length: accounts }, (_, index) => [`acct-${index}`, "10000"]).flat();
}
