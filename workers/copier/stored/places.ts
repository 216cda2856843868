/**
 * How many orders of one account may be unanswered at a broker at once, counted
 * exactly by all workers of a region partition. An order takes a place in the step
 * that writes its intent and gives it back in the step that writes its outcome. An
 * unknown order keeps its place until it is answered, or until its intent is
 * forgotten and no worker can answer it any more.
 *
 * An account's places are one packed text: `<client order id>@<since>,…`.
 */
import type { Copy } from "../../../domain/copier/copy.ts";
import type { AccountId, ClientOrderId } from "../../../domain/ids.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";

/** Orders that take a place. An order that is only asked about has one even if none is left. */
export function placesArg(copies: readonly Copy[], most: number | undefined): string {
  if (most === undefined) return "[]";
  return JSON.stringify(
    copies.flatMap(({ account, clientOrderId, state }) =>
      state === "skipped" ? [] : [[account, clientOrderId, state === "ask-only" ? 0 : 1]],
    ),
  );
}

/** Orders that have ended and give their place back. */
export function freedOf(copies: readonly Copy[]): [AccountId, ClientOrderId][] {
  return copies.flatMap(({ account, clientOrderId, state, outcome }) =>
    state === "skipped" || outcome === undefined || outcome.kind === "unknown"
      ? []
      : [[account, clientOrderId]],
  );
}

/**
 * `at_capacity(key, most, wanted, now)` returns the subscriptions that find no
 * place, and what to write if all find one: account, text, account, text ….
 */
export const TAKE_PLACES_LUA = `
local function at_capacity(key, most, text, now)
  local without, writes = {}, {}
  if text == '[]' then return without, writes end
  local wanted, accounts, places, held = cjson.decode(text), {}, {}, {}
  for _, each in ipairs(wanted) do
    if not places[each[1]] then
      accounts[#accounts + 1] = each[1]
      places[each[1]] = {}
    end
  end
  for i, stored in ipairs(redis.call('HMGET', key, unpack(accounts))) do
    for id, since in string.gmatch(stored or '', '([^@,]+)@(%d+)') do
      if now - tonumber(since) < ${ANSWER_TTL_MS} then
        table.insert(places[accounts[i]], id .. '@' .. since)
        held[id] = true
      end
    end
  end
  for _, each in ipairs(wanted) do
    local account, id, checked = each[1], each[2], each[3] == 1
    if not held[id] then
      if checked and #places[account] >= most then
        without[#without + 1] = string.match(id, '([^.]*)$')
      else
        table.insert(places[account], string.format('%s@%d', id, now))
      end
    end
  end
  for _, account in ipairs(accounts) do
    writes[#writes + 1] = account
    writes[#writes + 1] = table.concat(places[account], ',')
  end
  return without, writes
end
`;

/** `free_places(key, freed)` gives places back. A repetition changes nothing. */
export const FREE_PLACES_LUA = `
local function free_places(key, text)
  if text == '[]' then return end
  for _, each in ipairs(cjson.decode(text)) do
    local account, id = each[1], each[2]
    local stored = redis.call('HGET', key, account)
    if stored then
      local left = {}
      for place in string.gmatch(stored, '[^,]+') do
        if string.match(place, '^([^@]+)@') ~= id then left[#left + 1] = place end
      end
      if #left == 0 then redis.call('HDEL', key, account) else redis.call('HSET', key, account, table.concat(left, ',')) end
    end
  end
end
`;
