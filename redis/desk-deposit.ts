/** Money into the desk's accounts. */
import type { AccountId } from "../domain/ids.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, type Script } from "./script.ts";

export interface DepositArgs {
  readonly partition: number;
  readonly deposits: readonly {
    readonly id: string;
    readonly account: AccountId;
    readonly amountCents: number;
  }[];
}

const depositLua = `
local applied = 0
for i = 1, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[i + 1], ARGV[i + 2])
    applied = applied + 1
  end
end
return applied
`;

/** Opens accounts and adds money to them, once per deposit id. Replies how many were new. */
export const deposit: Script<DepositArgs, number> = {
  name: "deposit",
  lua: depositLua,
  keys: ({ partition }) => {
    const desk = new DeskKeys(partition);
    return [desk.balances, desk.deposits];
  },
  args: ({ deposits }) =>
    deposits.flatMap(({ id, account, amountCents }) => [id, account, String(amountCents)]),
  reply: asInteger,
};
