/**
 * The usage of followers with caps: reserved in the step that writes the
 * intents, given back in the step that writes what was not opened, and settled
 * when the broker settles. Each order that holds a part of its follower's caps
 * stands in `reserved` under its client order id, and whoever takes it out from
 * there is the one who changes the usage: so each of these happens once,
 * however often and in whatever order it is told.
 *
 * The packed text of a usage is that of `domain/copier/caps.ts`.
 */
import type { ClientOrderId, SubscriptionId } from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, asList, asText, type Script } from "../../../redis/script.ts";

/** Keys of `reserve` and `release`: the packed usages, and the orders that hold a part of them. */
export function usageKeys(partition: number, broker: string): string[] {
  const region = new RegionKeys(partition);
  return [region.usage(broker), region.reserved(broker)];
}

/** What the orders of followers with caps take of them. */
export function reservationsArg(copies: readonly Copy[]): string {
  const taken: string[][] = [];
  for (const { subscription, clientOrderId, stakeCents, reservation } of copies) {
    if (!reservation) continue;
    const { before, after, day } = reservation;
    taken.push([subscription, before, after, clientOrderId, `${stakeCents},${day}`]);
  }
  return JSON.stringify(taken);
}

/**
 * `overtaken(usage, wanted)` answers, flat, whose usage is no longer what was
 * decided on, and what it is now; `reserve` then writes them all.
 */
export const RESERVE_LUA = `
local function wanted_of(text)
  if text == '[]' then return {} end
  return cjson.decode(text)
end
local function overtaken(usage, wanted)
  local moved, names = {}, {}
  if #wanted == 0 then return moved end
  for i, each in ipairs(wanted) do names[i] = each[1] end
  local texts = redis.call('HMGET', usage, unpack(names))
  for i, each in ipairs(wanted) do
    local text = texts[i] or ''
    if text ~= each[2] then
      moved[#moved + 1] = each[1]
      moved[#moved + 1] = text
    end
  end
  return moved
end
local function reserve(usage, reserved, wanted)
  if #wanted == 0 then return end
  local usages, holds = {}, {}
  for _, each in ipairs(wanted) do
    usages[#usages + 1] = each[1]
    usages[#usages + 1] = each[3]
    holds[#holds + 1] = each[4]
    holds[#holds + 1] = each[5]
  end
  redis.call('HSET', usage, unpack(usages))
  redis.call('HSET', reserved, unpack(holds))
end
`;

/** Reads what `overtaken` answered. */
export function parseOvertaken(flat: readonly unknown[]): Map<SubscriptionId, string> {
  const usages = new Map<SubscriptionId, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    usages.set(asText(flat[index]) as SubscriptionId, asText(flat[index + 1]));
  }
  return usages;
}

/**
 * `release(usage, reserved, id, returned, day)` takes one order out of its
 * follower's usage, once. Without `returned` it was never opened: its stake no
 * longer counts on the day it was staked. With it, it settled on that day: what
 * it did not return is a loss of the day, and its stake stays staked.
 * `fill` makes an order hold only what its broker filled of it.
 */
export const RELEASE_LUA = `
local function release(usage, reserved, id, returned, day)
  local held = redis.call('HGET', reserved, id)
  if not held then return 0 end
  redis.call('HDEL', reserved, id)
  local subscription = string.match(id, '([^.]*)$')
  local stake, held_day = string.match(held, '^(%d+),(%d+)$')
  local text = redis.call('HGET', usage, subscription) or '0,0,0,0,0'
  local used_day, staked, open, loss, revision = string.match(text, '^(%d+),(%d+),(%d+),(-?%d+),(%d+)$')
  stake, held_day, used_day = tonumber(stake), tonumber(held_day), tonumber(used_day)
  staked, open, loss, revision = tonumber(staked), tonumber(open), tonumber(loss), tonumber(revision)
  if returned then
    if day > used_day then used_day, staked, loss = day, 0, 0 end
    if day == used_day then loss = loss + stake - returned end
  elseif held_day == used_day then
    staked = math.max(0, staked - stake)
  end
  redis.call('HSET', usage, subscription,
    string.format('%d,%d,%d,%d,%d', used_day, staked, math.max(0, open - 1), loss, revision + 1))
  return 1
end
local function fill(usage, reserved, id, filled)
  local held = redis.call('HGET', reserved, id)
  if not held then return end
  local stake, held_day = string.match(held, '^(%d+),(%d+)$')
  redis.call('HSET', reserved, id, string.format('%d,%s', filled, held_day))
  local subscription = string.match(id, '([^.]*)$')
  local text = redis.call('HGET', usage, subscription) or '0,0,0,0,0'
  local day, staked, open, loss, revision = string.match(text, '^(%d+),(%d+),(%d+),(-?%d+),(%d+)$')
  if day == held_day then staked = math.max(0, staked - (stake - filled)) end
  redis.call('HSET', usage, subscription,
    string.format('%s,%d,%s,%s,%d', day, staked, open, loss, revision + 1))
end
local function release_all(usage, reserved, text)
  if text == '[]' then return end
  for _, each in ipairs(cjson.decode(text)) do
    if type(each) == 'table' then fill(usage, reserved, each[1], each[2])
    else release(usage, reserved, each) end
  end
end
`;

export interface SettleUsageArgs {
  readonly partition: number;
  readonly broker: string;
  readonly settled: readonly {
    readonly clientOrderId: ClientOrderId;
    readonly returnCents: number;
    /** The UTC day on which it settled. */
    readonly day: number;
  }[];
}

const settleLua = `
${RELEASE_LUA}
local changed = 0
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
for i = 1, #ARGV, 3 do
  changed = changed + release(KEYS[1], KEYS[2], ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
end
return changed
`;

/** Takes settled orders out of what is open, and puts what they lost onto the day. Replies how many were new and of capped followers. */
export const settleUsage: Script<SettleUsageArgs, number> = {
  name: "settle-usage",
  lua: settleLua,
  keys: ({ partition, broker }) => usageKeys(partition, broker),
  args: ({ settled }) =>
    settled.flatMap(({ clientOrderId, returnCents, day }) => [
      clientOrderId,
      ...[String(returnCents), String(day)],
    ]),
  reply: asInteger,
};

/** Reads an `HMGET` of usages, in the order of those who were asked for. */
export function parseUsages(
  subscriptions: readonly SubscriptionId[],
  raw: unknown,
): Map<SubscriptionId, string> {
  const texts = asList(raw);
  return new Map(subscriptions.map((each, index) => [each, asText(texts[index] ?? "")]));
}
