/**
 * The usage of followers with caps. It is reserved in the step that writes the
 * intents, given back in the step that writes that an order was not opened, and
 * settled when the broker settles. Each order that uses a part of its follower's
 * caps is in `reserved` under its client order id. The step that removes it from
 * there is the one that changes the usage, so each change happens once, even if it
 * is repeated or arrives in another order.
 *
 * Every change of a usage is made here, in Lua, by `change_usage`. TypeScript only
 * reads the packed text (`domain/copier/caps.ts`) and compares it with the caps.
 */
import type { ClientOrderId, SubscriptionId } from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { asInteger, asList, asText, defineScript } from "../../../redis/script.ts";

interface UsagePlace {
  readonly partition: number;
  readonly broker: string;
}

/** Keys of `reserve` and `release`: the packed usages, and the orders that use a part of them. */
export const USAGE_KEYS = {
  usage: ({ partition, broker }: UsagePlace) => new RegionKeys(partition).usage(broker),
  reserved: ({ partition, broker }: UsagePlace) => new RegionKeys(partition).reserved(broker),
};

/** What the orders of followers with caps use of them. */
export function reservationsArg(copies: readonly Copy[]): string {
  const taken: (string | number)[][] = [];
  for (const { subscription, clientOrderId, stakeCents, reservation } of copies) {
    if (!reservation) continue;
    taken.push([subscription, reservation.before, clientOrderId, stakeCents, reservation.day]);
  }
  return JSON.stringify(taken);
}

/**
 * `change_usage(text, day, staked, opened, lost)` returns the usage after these
 * are added, and its day. A later day starts with no stakes and no losses, and
 * keeps the open positions. Stakes and losses of an earlier day than the usage's
 * no longer count.
 */
const USAGE_LUA = `
local function change_usage(text, day, staked, opened, lost)
  if text == '' then text = '0,0,0,0,0' end
  local used_day, used_staked, open, used_lost, revision = string.match(text, '^(%d+),(%d+),(%d+),(-?%d+),(%d+)$')
  used_day, used_staked, used_lost = tonumber(used_day), tonumber(used_staked), tonumber(used_lost)
  if day > used_day then used_day, used_staked, used_lost = day, 0, 0 end
  if day == used_day then
    used_staked, used_lost = math.max(0, used_staked + staked), used_lost + lost
  end
  return string.format('%d,%d,%d,%d,%d', used_day, used_staked, math.max(0, open + opened), used_lost, revision + 1)
end
`;

/**
 * `overtaken(usage, wanted)` returns, as a flat list, the followers whose usage
 * has changed since the decision, and their usage now. `reserve` then writes all
 * of them.
 */
export const RESERVE_LUA = `
${USAGE_LUA}
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
    local subscription, before, id, stake, day = unpack(each)
    day = math.max(day, tonumber(string.match(before, '^%d+') or '0'))
    usages[#usages + 1] = subscription
    usages[#usages + 1] = change_usage(before, day, stake, 1, 0)
    holds[#holds + 1] = id
    holds[#holds + 1] = string.format('%d,%d', stake, day)
  end
  redis.call('HSET', usage, unpack(usages))
  redis.call('HSET', reserved, unpack(holds))
end
`;

/** Reads the result of `overtaken`. */
export function parseOvertaken(flat: readonly unknown[]): Map<SubscriptionId, string> {
  const usages = new Map<SubscriptionId, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    usages.set(asText(flat[index]) as SubscriptionId, asText(flat[index + 1]));
  }
  return usages;
}

/**
 * `release(usage, reserved, id, returned, day)` removes one order from its
 * follower's usage, once. Without `returned` the order was never opened: its stake
 * no longer counts on its day. With `returned` it settled on that day: what it did
 * not return is a loss of the day, and its stake still counts. `fill` reduces an
 * order to what its broker filled of it.
 */
export const RELEASE_LUA = `
${USAGE_LUA}
local function held_by(reserved, id)
  local stake, day = string.match(redis.call('HGET', reserved, id) or '', '^(%d+),(%d+)$')
  return tonumber(stake), tonumber(day)
end
local function add_to_usage(usage, id, ...)
  local subscription = string.match(id, '([^.]*)$')
  redis.call('HSET', usage, subscription, change_usage(redis.call('HGET', usage, subscription) or '', ...))
end
local function release(usage, reserved, id, returned, day)
  local stake, held_day = held_by(reserved, id)
  if not stake then return 0 end
  redis.call('HDEL', reserved, id)
  if returned then add_to_usage(usage, id, day, 0, -1, stake - returned)
  else add_to_usage(usage, id, held_day, -stake, -1, 0) end
  return 1
end
local function fill(usage, reserved, id, filled)
  local stake, day = held_by(reserved, id)
  if not stake then return end
  redis.call('HSET', reserved, id, string.format('%d,%d', filled, day))
  add_to_usage(usage, id, day, filled - stake, 0, 0)
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
if redis.call('EXISTS', reserved) == 0 then return 0 end
for id, returned, day in rows() do
  changed = changed + release(usage, reserved, id, tonumber(returned), tonumber(day))
end
return changed
`;

/**
 * Removes settled orders from the open positions, and adds their losses to the
 * day. Replies how many were new and of followers with caps.
 */
export const settleUsage = defineScript<SettleUsageArgs, number>({
  name: "settle-usage",
  lua: settleLua,
  keys: USAGE_KEYS,
  rest: ({ settled }) =>
    settled.flatMap(({ clientOrderId, returnCents, day }) => [clientOrderId, returnCents, day]),
  columns: ["id", "returned", "day"],
  reply: asInteger,
});

/** Reads an `HMGET` of usages, in the order of the given subscriptions. */
export function parseUsages(
  subscriptions: readonly SubscriptionId[],
  raw: unknown,
): Map<SubscriptionId, string> {
  const texts = asList(raw);
  return new Map(subscriptions.map((each, index) => [each, asText(texts[index] ?? "")]));
}
