/**
 * Membership: subscriptions join, change and leave a roster, in one step on its
 * region partition.
 */
import type { ChannelId } from "../../../domain/ids.ts";
import type { Subscription } from "../../../domain/copier/subscription.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { SHARD_SIZE, type RowPayload } from "../stored/roster.ts";
import type { Route } from "../../../redis/route.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

/**
 * How many of its last joins and leaves a row stores: more than one subscription
 * has during the life of a job.
 */
const MAX_TURNS = 64;

export interface SeatArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  /** All are of this channel, broker and partition. At most a few hundred at once. */
  readonly subscriptions: readonly Subscription[];
  /** A test may set a smaller size than `SHARD_SIZE` to get many small shards. */
  readonly shardSize?: number;
}

export interface SeatReply {
  /** How many rows were new or newer. */
  readonly changed: number;
  /**
   * Every shard that one of these subscriptions belongs to, with the version and
   * count that its route must name. This includes shards without a change, because
   * an earlier change may have been cut off before its route was written.
   */
  readonly shards: readonly Pick<Route, "shard" | "version" | "count">[];
}

const seatLua = `
${LUA_NOW}
local size, prefix = tonumber(shard_size), roster .. ':'
local changed, moved, touched = 0, {}, {}
local version = math.max(tonumber(redis.call('HGET', roster, 'version') or '0') + 1, now_ms())
local version_text = string.format('%d', version)

-- The members of a shard, and its rows, including those of followers who left.
local counts, lengths = {}, {}
local function count_of(shard)
  if not counts[shard] then counts[shard] = tonumber(redis.call('HGET', roster, 'count:' .. shard) or '0') end
  return counts[shard]
end
local function rows_of(shard)
  if not lengths[shard] then lengths[shard] = redis.call('HLEN', prefix .. shard) end
  return lengths[shard]
end

-- New members fill one shard after the other. When it is full, they go to the emptiest shard if half of it is free, and otherwise to a new one.
local open = redis.call('HGET', roster, 'open') or '0'
local function open_shard()
  if count_of(open) < size and rows_of(open) < 1.75 * size then return open end
  local last, least = tonumber(redis.call('HGET', roster, 'last') or open), nil
  for shard = 0, last do
    local name = string.format('%d', shard)
    local count = count_of(name)
    if count <= size / 2 and (not least or count < least) and rows_of(name) <= 1.25 * size then
      open, least = name, count
    end
  end
  if not least then
    open = string.format('%d', last + 1)
    redis.call('HSET', roster, 'last', open)
  end
  redis.call('HSET', roster, 'open', open)
  return open
end

-- A row that cannot be read does not say whether it counts, so the others are counted.
local function count_again(shard)
  local count = 0
  for _, row in ipairs(redis.call('HVALS', prefix .. shard)) do
    local row_turns = string.match(row, '^%[%d+,%[([%d,]+)%],')
    local _, commas = string.gsub(row_turns or ',', ',', '')
    if commas % 2 == 0 then count = count + 1 end
  end
  counts[shard] = count
end

-- No job lives long enough to name a version from before this many joins and leaves.
local function add_turn(turns)
  turns[#turns + 1] = version_text
  if #turns > ${MAX_TURNS} then table.remove(turns, 1) table.remove(turns, 1) end
end

local ids, seats = {}, {}
for id in rows() do ids[#ids + 1] = id end
for i, shard in ipairs(redis.call('HMGET', shards, unpack(ids))) do seats[ids[i]] = shard or nil end
for subscription, sub_version, is_wanted, payload in rows() do
  local sub_version, wanted = tonumber(sub_version), is_wanted == '1'
  local shard = seats[subscription]
  local turns, known = {}, 0
  if shard then
    local row = redis.call('HGET', prefix .. shard, subscription) or ''
    local row_version, row_turns, row_payload = string.match(row, '^%[(%d+),%[([%d,]*)%],(.*)%]$')
    -- A damaged row is rewritten even if its version is newer; its joins and leaves stay if they can be read.
    known = row_payload and string.match(row_payload, '^%[.*%]$') and tonumber(row_version) or -1
    row_turns = row_turns or string.match(row, '^%[%d+,%[([%d,]+)%],')
    if not row_turns then count_again(shard) end
    for turn in string.gmatch(row_turns or '', '%d+') do turns[#turns + 1] = turn end
  end
  local seated = #turns % 2 == 1
  if sub_version > known and (shard or wanted) then
    if wanted and not seated then
      if not shard then
        shard = open_shard()
        lengths[shard] = rows_of(shard) + 1
        seats[subscription] = shard
        redis.call('HSET', shards, subscription, shard)
      end
      add_turn(turns)
      counts[shard] = count_of(shard) + 1
    elseif seated and not wanted then
      add_turn(turns)
      counts[shard] = count_of(shard) - 1
    end
    redis.call('HSET', prefix .. shard, subscription,
      string.format('[%d,[%s],%s]', sub_version, table.concat(turns, ','), payload))
    moved[shard] = true
    changed = changed + 1
  end
  if shard then touched[shard] = true end
end

local reply = {changed}
if changed > 0 then redis.call('HSET', roster, 'version', version_text) end
for shard in pairs(moved) do
  redis.call('HSET', roster, 'version:' .. shard, version_text, 'count:' .. shard, count_of(shard))
end
for shard in pairs(touched) do
  local head = redis.call('HMGET', roster, 'version:' .. shard, 'count:' .. shard)
  reply[#reply + 1] = {shard, head[1], head[2] or 0}
end
return reply
`;

/** Joins, changes and leaves in one step. An older version of a subscription changes nothing. */
export const seat = defineScript<SeatArgs, SeatReply>({
  name: "seat",
  lua: seatLua,
  keys: {
    roster: ({ partition, channel, broker }) =>
      new RegionKeys(partition).rosterHead(channel, broker),
    shards: ({ partition, channel, broker }) =>
      new RegionKeys(partition).rosterSeats(channel, broker),
  },
  args: { shard_size: ({ shardSize = SHARD_SIZE }) => shardSize },
  rest: ({ subscriptions }) =>
    subscriptions.flatMap(({ id, version, account, state, expiresAtMs, plan, follower }) => {
      const payload: RowPayload = [account, state, expiresAtMs, plan, follower];
      return [id, version, state === "left" ? 0 : 1, JSON.stringify(payload)];
    }),
  columns: ["subscription", "version", "isWanted", "payload"],
  reply(raw) {
    const [changed, ...shards] = asList(raw);
    return {
      changed: asInteger(changed),
      shards: shards.map((each) => {
        const [shard, version, count] = asList(each).map(asInteger);
        return { shard: shard ?? 0, version: version ?? 0, count: count ?? 0 };
      }),
    };
  },
});
