/**
 * What was unfinished when a Redis lost its data, as far as it is recorded. If
 * some copies of a signal have no recorded outcome, the signal is dispatched
 * again: its jobs, intents or outcomes may have been lost. Its orders may already
 * have been sent, so workers only ask the broker about them (`stored/run.ts`).
 *
 * A home that lost its data also gets the signals back: those that are not
 * finished, and those that may still have open positions, so that these can be
 * closed. Routes are not recorded. They are the channel's routes at the version of
 * the acceptance.
 */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import { MAX_DURATION_SECONDS } from "../../../domain/products/binary.ts";
import { openForMs, openUntilMs, type AcceptedSignal } from "../../../domain/copier/signal.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { filledSince } from "../../../redis/filled.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { routeField, type Route } from "../../../redis/route.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";
import type { Records, SignalRecord } from "../../records/port.ts";
import { run } from "../../runtime/redis.ts";
import { parseRosterShard, wasSeated, type RosterMember } from "../stored/roster.ts";
import { CLOCK_SKEW_MS } from "../stored/run.ts";
import { readRoutes } from "./check.ts";
import { readLastSignals, signalOf } from "./log.ts";
import type { Targets } from "./projector.ts";

export interface RestoreSignalArgs {
  readonly home: HomeKeys;
  readonly signal: AcceptedSignal;
  readonly followers: number;
  /** Absent if the home has the signal. */
  readonly routes: readonly Route[] | undefined;
  readonly isUnfinished: boolean;
}

const lua = `
${LUA_NOW}
local closed_at = tonumber(open_until)
local now, known = now_ms(), redis.call('EXISTS', signal_key) == 1
if not known and signal ~= '' then
  redis.call('HSET', signal_key, 'signal', signal, 'routes', routes, 'followers', followers)
  redis.call('PEXPIRE', signal_key, string.format('%d', ${ANSWER_TTL_MS} + math.max(closed_at - now, 0)))
  if closed_at > now then
    redis.call('ZADD', open, open_until, place)
    redis.call('PEXPIRE', open, ${ANSWER_TTL_MS} + ${openForMs(MAX_DURATION_SECONDS)})
    redis.call('SADD', opening, channel)
  end
  known = true
end
if not known or unfinished == '0' then return 0 end
return redis.call('ZADD', undispatched, 'NX', now, id)
`;

/**
 * Restores a signal to a home that lost it, and lists it as undispatched if it is
 * unfinished. Replies whether anything changed.
 */
export const restoreSignal = defineScript<RestoreSignalArgs, boolean>({
  name: "restore-signal",
  lua,
  keys: {
    signal_key: ({ home, signal }) => home.signal(signal.id),
    undispatched: ({ home }) => home.undispatched,
    open: ({ home, signal }) => home.open(signal.channel),
    opening: ({ home }) => home.opening,
  },
  args: {
    id: ({ signal }) => signal.id,
    unfinished: ({ isUnfinished }) => (isUnfinished ? 1 : 0),
    open_until: ({ signal }) => (signal.action === "close" ? 0 : openUntilMs(signal)),
    place: ({ signal, routes = [] }) => `${signal.symbol ?? ""} ${signal.id} ${placesText(routes)}`,
    signal: ({ signal, routes }) => (routes ? JSON.stringify(signal) : ""),
    routes: ({ routes = [] }) =>
      JSON.stringify(routes.flatMap((each) => [routeField(each), `${each.version},${each.count}`])),
    followers: ({ followers }) => followers,
    channel: ({ signal }) => signal.channel,
  },
  reply: (raw) => asInteger(raw) === 1,
});

/** Counts copies by place, in the format that the acceptance writes (`HomeKeys.open`). */
function placesText(routes: readonly Route[]): string {
  const counts = new Map<string, number>();
  for (const { region, broker, partition, count } of routes) {
    const place = `${region}/${broker}/${partition}`;
    counts.set(place, (counts.get(place) ?? 0) + count);
  }
  return [...counts].map(([place, count]) => `${place}=${count};`).join("");
}

/**
 * Returns how many of the channel's signals are dispatched again. Call it after
 * rosters and routes are filled.
 */
export async function restoreUnfinished(
  records: Records,
  targets: Targets,
  channel: ChannelId,
  isHomeEmpty: boolean,
): Promise<number> {
  const home = new HomeKeys(targets.partitions.ofChannel(channel));
  const nowMs = Date.now();
  const found = await readLastSignals(records, channel);
  const recent = found.filter(({ acceptedAtMs }) => acceptedAtMs > nowMs - ANSWER_TTL_MS);
  const finished = await readFinished(records, recent);
  // Signals that are not recorded yet are known only to the home.
  const open = isHomeEmpty ? [] : await readOpen(targets, home, channel);
  let restored = 0;
  for (const id of open.filter((each) => !recent.some(({ _id }) => _id === each))) {
    restored += Number(
      await targets.home.send("ZADD", [home.undispatched, "NX", String(nowMs), id]),
    );
  }
  const unfinished = recent.filter(({ _id }) => !finished.has(_id));
  const closed = new Set(unfinished.flatMap(({ closes }) => closes ?? []));
  const signals = recent.filter(
    (each) =>
      !finished.has(each._id) || (isHomeEmpty && (closed.has(each._id) || isOpen(each, nowMs))),
  );
  const rosters = isHomeEmpty ? await readRosters(targets, channel) : undefined;
  for (const record of signals) {
    const signal = signalOf(record);
    const isNews = await run(targets.home, restoreSignal, {
      home,
      signal,
      followers: record.followers,
      routes: rosters && routesAt(rosters, signal),
      isUnfinished: !finished.has(record._id),
    });
    if (isNews) restored += 1;
  }
  return restored;
}

function isOpen(record: SignalRecord, nowMs: number): boolean {
  const signal = signalOf(record);
  return signal.action !== "close" && openUntilMs(signal) > nowMs;
}

const AT_ONCE = 100;

/** Returns those of these signals whose copies all have a known outcome. */
async function readFinished(
  { orders }: Records,
  signals: readonly SignalRecord[],
): Promise<Set<string>> {
  const finished = new Set<string>();
  for (let start = 0; start < signals.length; start += AT_ONCE) {
    const some = signals.slice(start, start + AT_ONCE);
    const groups = await orders.group({
      where: { signal: some.map(({ _id }) => _id) },
      by: ["signal", "outcome"],
    });
    const known = new Map<unknown, number>();
    for (const { key, count } of groups) {
      const isKnown = key.outcome !== null && key.outcome !== "unknown";
      if (isKnown) known.set(key.signal, (known.get(key.signal) ?? 0) + count);
    }
    for (const { _id, followers } of some) {
      if ((known.get(_id) ?? 0) >= followers) finished.add(_id);
    }
  }
  return finished;
}

async function readOpen(
  { home: redis }: Targets,
  home: HomeKeys,
  channel: ChannelId,
): Promise<SignalId[]> {
  const members = (await redis.send("ZRANGE", [home.open(channel), "0", "-1"])) as string[];
  return members.flatMap((member) => (member.split(" ")[1] as SignalId | undefined) ?? []);
}

interface RoutedShard {
  readonly route: Route;
  readonly members: readonly RosterMember[];
  /** Since when its region has these members. The roster does not show who was there before. */
  readonly sinceMs: number;
}

async function readRosters(targets: Targets, channel: ChannelId): Promise<RoutedShard[]> {
  const routes = await readRoutes(targets, channel);
  return await Promise.all(
    routes.map(async (route): Promise<RoutedShard> => {
      const { region, broker, partition, shard } = route;
      const redis = targets.regions.get(region);
      if (!redis) return { route, members: [], sinceMs: Infinity };
      const key = new RegionKeys(partition).rosterShard(channel, broker, shard);
      const [rows, sinceMs = Infinity] = await Promise.all([
        redis.send("HGETALL", [key]) as Promise<Record<string, string>>,
        run(redis, filledSince, { partition, part: "region" }),
      ]);
      return { route, members: parseRosterShard(Object.entries(rows).flat()), sinceMs };
    }),
  );
}

/**
 * Versions are milliseconds of a Redis clock. A shard that has changed since is
 * read as it was at the acceptance.
 */
function routesAt(shards: readonly RoutedShard[], { acceptedAtMs }: AcceptedSignal): Route[] {
  return shards.map(({ route, members, sinceMs }) => {
    const version = Math.min(route.version, acceptedAtMs);
    if (acceptedAtMs - CLOCK_SKEW_MS <= sinceMs) return { ...route, version };
    const count = members.reduce((sum, each) => sum + (wasSeated(each, version) ? 1 : 0), 0);
    return { ...route, version, count };
  });
}
