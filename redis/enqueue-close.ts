/**
 * The dispatch of a close: one job for each signal that it closes and each shard of that signal's
 * routes, each once however often it is repeated. They have their own streams, so that a held close
 * delays no open, and room for twice as many jobs.
 */
import type { AcceptedClose, AcceptedOpen } from "../domain/copier/signal.ts";
import { ANSWER_TTL_MS } from "./accept.ts";
import type { CloseHead, OnlyCopies } from "./close-job.ts";
import { LUA_IS_FULL, MAX_JOBS_WAITING, parseEnqueued, type EnqueueReply } from "./enqueue.ts";
import { LUA_REGION_FILLED_SINCE } from "./filled.ts";
import { RegionKeys } from "./keys.ts";
import type { StoredSignal } from "./progress.ts";
import type { Route } from "./route.ts";
import { defineScript, LUA_NOW } from "./script.ts";

/** The most jobs of one call. */
const MAX_JOBS = 200;

interface Closing extends Pick<Route, "shard" | "version" | "count"> {
  readonly of: AcceptedOpen;
  readonly only?: OnlyCopies;
}

export interface EnqueueCloseArgs {
  readonly close: CloseHead;
  readonly partition: number;
  readonly broker: string;
  readonly jobs: readonly Closing[];
}

const lua = `
${LUA_NOW}
${LUA_REGION_FILLED_SINCE}
${LUA_IS_FULL}
if not filled_since(header) then return -2 end
local now, added = now_ms(), 0
for of, name, shard, version, count, only in rows() do
  local field = name .. '/' .. broker .. '/' .. shard
  if redis.call('HEXISTS', enqueued, field) == 0 then
    if added == 0 and is_full(closes, ${2 * MAX_JOBS_WAITING}) then return -1 end
    redis.call('HSET', enqueued, field, 1)
    redis.call('XADD', closes, '*', 'close', close, 'of', of, 'broker', broker, 'shard', shard,
      'version', version, 'count', count, 'only', only, 'dispatchedAtMs', now, 'notBeforeMs', 0, 'tries', 0)
    added = added + 1
  end
end
redis.call('PEXPIRE', enqueued, ${ANSWER_TTL_MS})
return added
`;

export const enqueueClose = defineScript<EnqueueCloseArgs, EnqueueReply>({
  name: "enqueue-close",
  lua,
  keys: {
    enqueued: ({ partition, close }) => new RegionKeys(partition).enqueued(close.id),
    closes: ({ partition, broker }) => new RegionKeys(partition).closes(broker),
    header: ({ partition }) => new RegionKeys(partition).header,
  },
  args: {
    close: ({ close }) => JSON.stringify(close),
    broker: ({ broker }) => broker,
  },
  rest: ({ jobs }) =>
    jobs.flatMap(({ of, shard, version, count, only }) => [
      JSON.stringify(of),
      of.id,
      shard,
      version,
      count,
      only ? JSON.stringify(only) : "",
    ]),
  columns: ["of", "name", "shard", "version", "count", "only"],
  reply: parseEnqueued,
});

export interface CloseDispatch {
  readonly region: string;
  readonly enqueue: EnqueueCloseArgs;
}

/**
 * A close as one enqueue per region, region partition and broker, or more where it has many jobs.
 * `closed` are the signals that it closes, as stored in their home partition. A signal that is no
 * longer stored has nothing open any more.
 */
export function closeDispatchesOf(
  { id, channel, provider, acceptedAtMs, broker, copies }: AcceptedClose,
  closed: readonly StoredSignal[],
): CloseDispatch[] {
  const close: CloseHead = { id, channel, provider, acceptedAtMs };
  const groups = new Map<string, { readonly first: Place; readonly jobs: Closing[] }>();
  for (const { signal: of, routes } of closed) {
    if (of.action === "close") continue;
    const places: readonly Place[] = copies
      ? copyPlaces(copies, routes)
      : routes.filter((route) => broker === undefined || route.broker === broker);
    for (const place of places) {
      const { shard, version, count, only } = place;
      const key = `${place.region}/${place.partition}/${place.broker}`;
      const group = groups.get(key) ?? { first: place, jobs: [] };
      group.jobs.push({ of, shard, version, count, ...(only ? { only } : {}) });
      groups.set(key, group);
    }
  }
  return [...groups.values()].flatMap(({ first: { region, ...place }, jobs }) =>
    Array.from({ length: Math.ceil(jobs.length / MAX_JOBS) }, (_, index) => ({
      region,
      enqueue: {
        close,
        partition: place.partition,
        broker: place.broker,
        jobs: jobs.slice(index * MAX_JOBS, (index + 1) * MAX_JOBS),
      },
    })),
  );
}

type Place = Route & { readonly only?: OnlyCopies };

/** The shards of the named copies, with the routes that led there when the signal was accepted. */
function copyPlaces(
  copies: NonNullable<AcceptedClose["copies"]>,
  routes: readonly Route[],
): Place[] {
  const nameOf = (each: Omit<Route, "version" | "count">): string =>
    `${each.region}/${each.broker}/${each.partition}/${each.shard}`;
  const byName = new Map(routes.map((route) => [nameOf(route), route]));
  return [...Map.groupBy(copies, nameOf)].flatMap(([name, some]) => {
    const [first] = some;
    if (!first) return [];
    const { region, broker, partition, shard } = first;
    const { version, count } = byName.get(name) ?? { version: 0, count: 0 };
    const only = some.map(({ subscription, account }) => [subscription, account] as const);
    return [{ region, broker, partition, shard, version, count, only }];
  });
}
