/** Deposits into the desk's accounts. */
import type { AccountId } from "../../../domain/ids.ts";
import { AUDIT_ARGS, AUDIT_KEYS, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { deskKeys } from "./keys.ts";
import { headerKey, LUA_REFUSE_LOST } from "./whole.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface DepositArgs extends DeskCall {
  readonly deposits: readonly {
    readonly id: string;
    readonly account: AccountId;
    readonly amountCents: number;
  }[];
}

const depositLua = `
${LUA_NOW}
${LUA_REFUSE_LOST}
${AUDIT_MANY_LUA}
local applied, events, changed = 0, {}, {}
for id, account, cents in rows() do
  if redis.call('HSETNX', deposits, id, account) == 1 then
    changed[account] = redis.call('HINCRBY', balances, account, cents)
    applied = applied + 1
    events[applied] = id .. ',' .. account .. ',' .. cents .. ';'
  end
end
if applied > 0 then
  local flat = {}
  for account, balance in pairs(changed) do
    flat[#flat + 1], flat[#flat + 2] = account, string.format('%d', balance)
  end
  audit_many('DEPOSIT', '', table.concat(events), flat, now_ms())
end
return applied
`;

/**
 * Opens accounts and adds money to them, once for each deposit id. Returns how many
 * deposits were new.
 */
export const deposit = defineScript<DepositArgs, number>({
  name: "deposit",
  lua: depositLua,
  keys: { ...deskKeys("balances", "deposits"), ...AUDIT_KEYS, ...headerKey },
  args: AUDIT_ARGS,
  rest: ({ deposits }) =>
    deposits.flatMap(({ id, account, amountCents }) => [id, account, amountCents]),
  columns: ["id", "account", "amountCents"],
  reply: asInteger,
});
