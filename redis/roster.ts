/**
 * The roster: who follows a channel with which plan, cut into shards of a few
 * hundred, per broker and region partition. Each change raises the roster's
 * version; a row keeps the versions at which its subscription joined and left,
 * so a job that names a version finds exactly those who were there, and
 * nobody is ever moved or deleted from under it: a row goes only once no job
 * can name it, and a shard that has emptied takes newcomers again. Versions are at least the
 * milliseconds of Redis' clock: a roster rebuilt after a loss goes on above the
 * versions that routes elsewhere still name.
 */
import type { CopyPlan } from "../domain/copy-plan.ts";
import type { Follower } from "../domain/decide.ts";
import type { AccountId, ChannelId, PersonId, SubscriptionId } from "../domain/ids.ts";
import type { Channel } from "../domain/channel.ts";
import type { Grant } from "../domain/grant.ts";
import type { Subscription, SubscriptionState } from "../domain/subscription.ts";
import { RegionKeys, type HomeKeys } from "./keys.ts";
import { routeField, type Route } from "./route.ts";
import { asInteger, asList, LUA_NOW, type Script } from "./script.ts";

/** Large enough to make a job worth its round trips, small enough to read and answer in a few milliseconds. */
export const SHARD_SIZE = 512;

/** A row remembers its last comings and goings: more than anybody has in the life of a job. */
const MAX_TURNS = 64;

export interface RosterMember extends Follower {
  readonly follower: PersonId;
  readonly subscriptionVersion: number;
  /** Roster versions at which this subscription joined, left, joined again …, ascending. */
  readonly turns: readonly number[];
}

/** What a subscription's row holds besides the versions that the script keeps. */
type RowPayload = readonly [AccountId, SubscriptionState, number, CopyPlan, PersonId];
type Row = readonly [version: number, turns: readonly number[], payload: RowPayload];

export function parseRosterShard(flat: readonly string[]): RosterMember[] {
  const members: RosterMember[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [subscriptionVersion, turns, payload] = JSON.parse(flat[index + 1] ?? "") as Row;
    const [account, state, expiresAtMs, plan, follower] = payload;
    const subscription = flat[index] as SubscriptionId;
    members.push({
      subscription,
      account,
      follower,
      state,
      expiresAtMs,
      plan,
      subscriptionVersion,
      turns,
    });
  }
  return members.sort((a, b) => (a.subscription < b.subscription ? -1 : 1));
}

/** Whether a member belongs to the snapshot that a job of this roster version names. */
export function wasSeated(member: RosterMember, version: number): boolean {
  let turns = 0;
  for (const turn of member.turns) if (turn <= version) turns += 1;
  return turns % 2 === 1;
}

export interface SeatArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  /** All of this channel, broker and partition. At most a few hundred at once. */
  readonly subscriptions: readonly Subscription[];
  /** Other than `SHARD_SIZE` where a test wants many shards of a few. */
  readonly shardSize?: number;
}

export interface SeatReply {
  /** How many rows were new or newer. */
  readonly changed: number;
  /**
   * Every shard that one of these sits in, with the version and count that its
   * route must name: also where nothing changed, as an earlier change may have
   * been cut off before its route was written.
   */
  readonly shards: readonly Pick<Route, "shard" | "version" | "count">[];
}

const seatLua = `
${LUA_NOW}
local size, prefix = tonumber(ARGV[1]), KEYS[1] .. ':'
local changed, moved, touched = 0, {}, {}
local version = math.max(tonumber(redis.call('HGET', KEYS[1], 'version') or '0') + 1, now_ms())
local version_text = string.format('%d', version)

-- How many sit in a shard, and how many rows it has, those of who left included.
local counts, rows = {}, {}
local function count_of(shard)
  if not counts[shard] then counts[shard] = tonumber(redis.call('HGET', KEYS[1], 'count:' .. shard) or '0') end
  return counts[shard]
end
local function rows_of(shard)
  if not rows[shard] then rows[shard] = redis.call('HLEN', prefix .. shard) end
  return rows[shard]
end

-- Newcomers fill one shard after the other. When it is full, the one that has emptied most takes them, if half of it is free; only then is another opened.
local open = redis.call('HGET', KEYS[1], 'open') or '0'
local function open_shard()
  if count_of(open) < size and rows_of(open) < 1.75 * size then return open end
  local last, least = tonumber(redis.call('HGET', KEYS[1], 'last') or open), nil
  for shard = 0, last do
    local name = string.format('%d', shard)
    local count = count_of(name)
    if count <= size / 2 and (not least or count < least) and rows_of(name) <= 1.25 * size then
      open, least = name, count
    end
  end
  if not least then
    open = string.format('%d', last + 1)
    redis.call('HSET', KEYS[1], 'last', open)
  end
  redis.call('HSET', KEYS[1], 'open', open)
  return open
end

-- No job lives long enough to name a version from before this many comings and goings.
local function add_turn(turns)
  turns[#turns + 1] = version_text
  if #turns > ${MAX_TURNS} then table.remove(turns, 1) table.remove(turns, 1) end
end

local ids, seats = {}, {}
for i = 2, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
for i, shard in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do seats[ids[i]] = shard or nil end
for i = 2, #ARGV, 4 do
  local subscription, sub_version, wanted, payload = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] == '1', ARGV[i + 3]
  local shard = seats[subscription]
  local turns, known = {}, 0
  if shard then
    local row = redis.call('HGET', prefix .. shard, subscription)
    local row_version, row_turns = string.match(row, '^%[(%d+),%[([%d,]*)%],')
    known = tonumber(row_version)
    for turn in string.gmatch(row_turns, '%d+') do turns[#turns + 1] = turn end
  end
  local seated = #turns % 2 == 1
  if sub_version > known and (shard or wanted) then
    if wanted and not seated then
      if not shard then
        shard = open_shard()
        rows[shard] = rows_of(shard) + 1
        seats[subscription] = shard
        redis.call('HSET', KEYS[2], subscription, shard)
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
if changed > 0 then redis.call('HSET', KEYS[1], 'version', version_text) end
for shard in pairs(moved) do
  redis.call('HSET', KEYS[1], 'version:' .. shard, version_text, 'count:' .. shard, count_of(shard))
end
for shard in pairs(touched) do
  local head = redis.call('HMGET', KEYS[1], 'version:' .. shard, 'count:' .. shard)
  reply[#reply + 1] = {shard, head[1], head[2] or 0}
end
return reply
`;

/** Joins, changes and leaves, in one step; an older version of a subscription changes nothing. */
export const seat: Script<SeatArgs, SeatReply> = {
  name: "seat",
  lua: seatLua,
  keys: ({ partition, channel, broker }) => {
    const region = new RegionKeys(partition);
    return [region.rosterHead(channel, broker), region.rosterSeats(channel, broker)];
  },
  args: ({ subscriptions, shardSize = SHARD_SIZE }) => [
    String(shardSize),
    ...subscriptions.flatMap((each) => {
      const { account, state, expiresAtMs, plan, follower } = each;
      const payload: RowPayload = [account, state, expiresAtMs, plan, follower];
      return [
        each.id,
        String(each.version),
        each.state === "left" ? "0" : "1",
        JSON.stringify(payload),
      ];
    }),
  ],
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
};

export interface PruneArgs {
  readonly partition: number;
  readonly broker: string;
  readonly channel: ChannelId;
  readonly shard: number;
  /** The version that the channel's route names now. */
  readonly routed: number;
  /** How long after its acceptance a signal may still be copied. */
  readonly keptMs: number;
}

const pruneLua = `
${LUA_NOW}
local shard, routed, kept, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local rows, removed = KEYS[1] .. ':' .. shard, 0
local below, noted_at = string.match(redis.call('HGET', KEYS[1], 'noted:' .. shard) or '', '^(%d+),(%d+)$')
if below and now - tonumber(noted_at) < kept then return 0 end
if below then
  below = tonumber(below)
  local flat = redis.call('HGETALL', rows)
  for i = 1, #flat, 2 do
    local version, found, payload = string.match(flat[i + 1], '^%[(%d+),%[([%d,]*)%],(.*)%]$')
    local turns, first = {}, 1
    for turn in string.gmatch(found, '%d+') do turns[#turns + 1] = turn end
    while turns[first + 1] and tonumber(turns[first + 1]) <= below do first = first + 2 end
    if first > #turns then
      redis.call('HDEL', rows, flat[i])
      redis.call('HDEL', KEYS[2], flat[i])
      removed = removed + 1
    elseif first > 1 then
      redis.call('HSET', rows, flat[i], string.format('[%s,[%s],%s]', version, table.concat(turns, ',', first), payload))
    end
  end
end
redis.call('HSET', KEYS[1], 'noted:' .. shard, string.format('%s,%d', routed, now))
return removed
`;

/**
 * Forgets comings and goings that no job can name any more, and the rows of
 * those who have nothing else left. It notes which version the route names;
 * once that note is `keptMs` old, every job that named an older one is over.
 * Replies how many rows went.
 */
export const prune: Script<PruneArgs, number> = {
  name: "prune",
  lua: pruneLua,
  keys: ({ partition, channel, broker }) => {
    const region = new RegionKeys(partition);
    return [region.rosterHead(channel, broker), region.rosterSeats(channel, broker)];
  },
  args: ({ shard, routed, keptMs }) => [String(shard), String(routed), String(keptMs)],
  reply: asInteger,
};

export interface RouteArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  readonly routes: readonly Route[];
}

const routeLua = `
local changed = 0
for i = 1, #ARGV, 3 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  local version = known and tonumber(string.match(known, '^(%d+),')) or -1
  if tonumber(ARGV[i + 1]) > version then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ',' .. ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
`;

/** Makes routes name newer roster versions; an older one never overwrites a newer. */
export const route: Script<RouteArgs, number> = {
  name: "route",
  lua: routeLua,
  keys: ({ home, channel }) => [home.routes(channel)],
  args: ({ routes }) =>
    routes.flatMap((each) => [routeField(each), String(each.version), String(each.count)]),
  reply: asInteger,
};

export interface ProjectChannelArgs {
  readonly home: HomeKeys;
  readonly channel: Channel;
  readonly grants: Readonly<Record<PersonId, Grant>>;
}

const projectChannelLua = `
local known = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if tonumber(ARGV[1]) <= known then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'settings', ARGV[2])
redis.call('DEL', KEYS[2])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`;

/** Replaces a channel's settings and grants, if newer; its sequence and routes stay. */
export const projectChannel: Script<ProjectChannelArgs, boolean> = {
  name: "project-channel",
  lua: projectChannelLua,
  keys: ({ home, channel }) => [home.channel(channel.id), home.grants(channel.id)],
  args: ({ channel, grants }) => [
    String(channel.version),
    JSON.stringify({
      provider: channel.provider,
      symbols: channel.symbols,
      deadlineMs: channel.deadlineMs,
    }),
    ...Object.entries(grants).flatMap(([person, grant]) => [person, JSON.stringify(grant)]),
  ],
  reply: (raw) => asInteger(raw) === 1,
};
