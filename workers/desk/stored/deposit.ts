/** Money into the desk's accounts. */
import type { AccountId } from "../../../domain/ids.ts";
import { auditArgs, auditKeys, AUDIT_MANY_LUA, type DeskCall } from "./transaction.ts";
import { DeskKeys } from "./keys.ts";
import { luaRefuseLost } from "./whole.ts";
import { formatKey } from "../../../redis/keys.ts";
import { asInteger, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface DepositArgs extends DeskCall {
  readonly deposits: readonly {
    readonly id: string;
    readonly account: AccountId;
    readonly amountCents: number;
  }[];
}

const depositLua = `
${LUA_NOW}
${luaRefuseLost(3)}
${AUDIT_MANY_LUA}
local applied, rows, changed = 0, {}, {}
for i = 1, #ARGV - 3, 3 do
  local id, account, cents = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('HSETNX', KEYS[2], id, account) == 1 then
    changed[account] = redis.call('HINCRBY', KEYS[1], account, cents)
    applied = applied + 1
    rows[applied] = id .. ',' .. account .. ',' .. cents .. ';'
  end
end
if applied > 0 then
  local flat = {}
  for account, balance in pairs(changed) do
    flat[#flat + 1], flat[#flat + 2] = account, string.format('%d', balance)
  end
  audit_many('DEPOSIT', '', table.concat(rows), flat, now_ms())
end
return applied
`;

/** Opens accounts and adds money to them, once per deposit id. Replies how many were new. */
export const deposit: Script<DepositArgs, number> = {
  name: "deposit",
  lua: depositLua,
  keys: ({ partition }) => {
    const desk = new DeskKeys(partition);
    return [desk.balances, desk.deposits, formatKey(partition), ...auditKeys({ partition })];
  },
  args: ({ deposits, ...call }) => [
    ...deposits.flatMap(({ id, account, amountCents }) => [id, account, String(amountCents)]),
    ...auditArgs(call),
  ],
  reply: asInteger,
};
