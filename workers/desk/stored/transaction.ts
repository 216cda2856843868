/**
 * A transaction that moves many accounts at once, such as a shard's stakes: its number,
 * and its audit entry of one packed line, written with the change.
 */
import { MANY_USERS } from "./audit.ts";
import { deskKeys } from "./keys.ts";

/** Partition, partition count and server name, recorded in each audit entry. */
export interface DeskCall {
  readonly partition: number;
  /** The number of partitions: transaction numbers are interleaved by it. */
  readonly partitions: number;
  /** The server name in the audit. */
  readonly server: string;
}

/** Transactions that are reserved for one server's next commands. */
export interface Reserved {
  /** By Redis' clock. */
  readonly nowMs: number;
  /** The first of them; the others follow in steps of `partitions`. */
  readonly first: number;
}

/** The keys and arguments that `AUDIT_MANY_LUA` uses, among those of a script. */
export const AUDIT_KEYS = deskKeys("audited", "transactions", "audit");

export const AUDIT_ARGS = {
  server: ({ server }: DeskCall) => server,
  partitions: ({ partitions }: DeskCall) => partitions,
  partition: ({ partition }: DeskCall) => partition,
};

/**
 * `audit_many(name, of, rows, changed, now, …)`: `rows` is `id,account,cents;` for each;
 * `of` is the common prefix of their ids, or empty; `changed` is the new balances, account
 * and cents alternating; more fields of the entry may follow.
 */
export const AUDIT_MANY_LUA = `
local function audit_many(name, of, rows, changed, now, ...)
  local counted = redis.call('INCR', transactions)
  redis.call('SET', audited, counted)
  local transaction = (counted - 1) * partitions + partition + 1
  local entry = {'XADD', audit, '*', 'at', string.format('%d', now), 'server', server, 'users', '${MANY_USERS}',
    'events', string.format('m,%d,%s,%s|', transaction, name, of) .. rows, ...}
  if #changed > 0 then
    entry[#entry + 1] = 'balances'
    entry[#entry + 1] = table.concat(changed, '\\n')
  end
  redis.call(unpack(entry))
end
`;
