/**
 * Commits a desk server's changes of accounts, with their audit entry, in one atomic step.
 * It succeeds only if every account is as the server read it, so it never overwrites the
 * change of a faster server. The slower server's commit changes nothing: that server reads
 * the accounts again.
 */
import type { Changes, AccountDraft } from "./draft.ts";
import { AUDITED_HASHES } from "./audit.ts";
import { AUDIT_KEYS, type DeskCall, type Reserved } from "./transaction.ts";
import { deskKeys } from "./keys.ts";
import { headerKey, LUA_REFUSE_LOST } from "./whole.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

/** A decision that is older than this is made again. */
const DECISION_VALID_MS = 1_000;

export interface CommitArgs extends DeskCall {
  /** When it was decided, by Redis' clock. */
  readonly atMs: number;
  /** The accounts' next version: no other commit has the same. */
  readonly version: string;
  readonly accounts: readonly AccountDraft[];
  readonly changes: Changes;
  /** Lines, see `stored/audit.ts`. */
  readonly events: readonly string[];
  /** The highest number among the events', or 0. */
  readonly lastTransaction: number;
  /** How many transactions to reserve for the next commands. */
  readonly reserve: number;
}

export interface CommitReply extends Reserved {
  /** False: nothing was committed, and nothing is reserved. */
  readonly done: boolean;
}

/** The hashes that are written, in the order of their sections. */
const WRITTEN = [...AUDITED_HASHES, "history"] as const;

/*
 * The desk waits for Redis' one thread. So this script only compares and passes on its
 * input, and builds no text but the entry's. The input is one list, because each separate
 * argument costs a server more to send than it costs to read here.
 */
const lua = `
${LUA_NOW}
${LUA_REFUSE_LOST}
local now = now_ms()
local function not_done() return {0, now, 0} end
if math.abs(now - at) > ${DECISION_VALID_MS} then return not_done() end
local given = cjson.decode(list)
local count, lasting = tonumber(given[1]), tonumber(given[2])
local version_now = redis.call('HMGET', versions, unpack(given, 3, 2 + count))
local balance_now = redis.call('HMGET', balances, unpack(given, 3, 2 + count))
for i = 1, count do
  if (version_now[i] or '') ~= given[2 + count + i] or (balance_now[i] or '') ~= given[2 + 2 * count + i] then return not_done() end
end
local from = 3 + 3 * count
local highest = tonumber(given[from + 1])
local entry = {audit, '*', 'at', at, 'server', server, 'users', given[from], 'events', events}
from = from + 2
local function section(command, key, audited)
  local first, last = from + 1, from + given[from]
  from = last + 1
  if first > last then return end
  redis.call(command, key, unpack(given, first, last))
  if audited then
    entry[#entry + 1] = audited
    entry[#entry + 1] = table.concat(given, '\\n', first, last)
  end
end
section('HDEL', sessions)
${WRITTEN.map((name) => `section('HSET', ${name}, ${name === "history" ? "nil" : `'${name}'`})`).join("\n")}
section('ZREM', buyTriggers)
section('ZREM', sellTriggers)
section('ZADD', buyTriggers)
section('ZADD', sellTriggers)
if lasting > 0 then
  local flat = {}
  for i = 1, lasting do flat[2 * i - 1], flat[2 * i] = given[2 + i], version end
  redis.call('HSET', versions, unpack(flat))
end
redis.call('XADD', unpack(entry))
if highest > tonumber(redis.call('GET', audited) or '0') then redis.call('SET', audited, string.format('%d', highest)) end
return {1, now, redis.call('INCRBY', transactions, reserve)}
`;

export const commitAccounts = defineScript<CommitArgs, CommitReply>({
  name: "commit-accounts",
  lua,
  keys: {
    ...deskKeys("versions", ...WRITTEN, "buyTriggers", "sellTriggers"),
    ...AUDIT_KEYS,
    ...headerKey,
  },
  args: {
    at: ({ atMs }) => atMs,
    server: ({ server }) => server,
    version: ({ version }) => version,
    reserve: ({ reserve }) => reserve,
    list: listCommit,
    events: ({ events }) => events.join("\n"),
  },
  reply(raw, args) {
    const [done, ...reserved] = asList(raw);
    return { done: done === 1, ...parseReserved(reserved, args) };
  },
});

/** What to compare and what to write, as one list. */
function listCommit({
  partition,
  partitions,
  accounts,
  changes,
  lastTransaction,
}: CommitArgs): string {
  // A name without a balance gets no version.
  const lasting = accounts.filter(({ balanceCents }) => balanceCents !== undefined);
  const all =
    lasting.length === accounts.length
      ? accounts
      : [...lasting, ...accounts.filter(({ balanceCents }) => balanceCents === undefined)];
  const given: (string | number)[] = [all.length, lasting.length];
  for (const { user } of all) given.push(user);
  for (const { version: read } of all) given.push(read);
  for (const { balance } of all) given.push(balance);
  const highest = (lastTransaction - partition - 1) / partitions + 1;
  given.push(all.map(({ user }) => user).join(" "), highest);
  const { forgotten, unsetBuys, unsetSells, setBuys, setSells } = changes;
  for (const section of [
    forgotten,
    ...WRITTEN.map((name) => changes[name]),
    unsetBuys,
    unsetSells,
    setBuys,
    setSells,
  ]) {
    given.push(section.length);
    for (const text of section) given.push(text);
  }
  // Names, symbols, sessions and numbers need no escaping, and a search for it costs more
  // than the rest.
  return `["${given.join('","')}"]`;
}

export interface ReserveArgs extends DeskCall {
  readonly reserve: number;
}

/** Reserves transactions without a commit. */
export const reserveTransactions = defineScript<ReserveArgs, Reserved>({
  name: "reserve-transactions",
  lua: `${LUA_NOW}return {now_ms(), redis.call('INCRBY', transactions, reserve)}`,
  keys: deskKeys("transactions"),
  args: { reserve: ({ reserve }) => reserve },
  reply: (raw, args) => parseReserved(asList(raw), args),
});

function parseReserved(
  [nowMs, counted]: readonly unknown[],
  { partition, partitions, reserve }: ReserveArgs,
): Reserved {
  const first = (asInteger(counted) - reserve) * partitions + partition + 1;
  return { nowMs: asInteger(nowMs), first };
}
