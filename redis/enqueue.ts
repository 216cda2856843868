/**
 * Dispatch: one job per shard onto the job streams of a region partition, each
 * once however often the dispatch is repeated. A stream that is too far behind
 * takes none, and neither does a region that is not filled, so that the signal
 * stays undispatched and is tried again.
 */
import type { AcceptedOpen, AcceptedSignal } from "../domain/copier/signal.ts";
import { ANSWER_TTL_MS } from "./accept.ts";
import { LUA_REGION_FILLED_SINCE } from "./filled.ts";
import { RegionKeys } from "./keys.ts";
import type { Route } from "./route.ts";
import { rotate } from "../domain/copier/fairness.ts";
import { GROUPS } from "./streams.ts";
import { asInteger, defineScript, LUA_NOW } from "./script.ts";

/**
 * Jobs of one broker in one partition that no worker has acknowledged: two and
 * a half million orders, many times what leaves within any deadline.
 */
export const MAX_JOBS_WAITING = 10_000;

export interface EnqueueArgs {
  readonly signal: AcceptedOpen;
  readonly partition: number;
  readonly broker: string;
  readonly shards: readonly Pick<Route, "shard" | "version" | "count">[];
}

export type EnqueueReply =
  | { readonly kind: "enqueued"; readonly added: number }
  /** Nothing was added; some of it may stand already. */
  | { readonly kind: "full" }
  /** Nothing was added: this region lost its data, and its roster with them. */
  | { readonly kind: "unfilled" };

/** Of the scripts that enqueue: how many were added, or why nothing was. */
export function parseEnqueued(raw: unknown): EnqueueReply {
  const added = asInteger(raw);
  if (added >= 0) return { kind: "enqueued", added };
  return { kind: added === -2 ? "unfilled" : "full" };
}

/** `is_full(stream, most)`: what was acknowledged stays in a stream until it is trimmed, so a long one is looked into. */
export const LUA_IS_FULL = `
local function is_full(stream, most)
  local length = redis.call('XLEN', stream)
  if length < most then return false end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
    if group.name == '${GROUPS.jobs[0]}' and group.lag then
      return group.lag + group.pending >= most
    end
  end
  return true
end
`;

const lua = `
${LUA_NOW}
${LUA_REGION_FILLED_SINCE}
${LUA_IS_FULL}
if not filled_since(header) then return -2 end
local now, added = now_ms(), 0
for shard, version, count in rows() do
  if redis.call('HEXISTS', enqueued, broker .. '/' .. shard) == 0 then
    if added == 0 and is_full(jobs, ${MAX_JOBS_WAITING}) then return -1 end
    redis.call('HSET', enqueued, broker .. '/' .. shard, 1)
    redis.call('XADD', jobs, '*', 'signal', signal, 'broker', broker, 'shard', shard,
      'version', version, 'count', count, 'dispatchedAtMs', now)
    added = added + 1
  end
end
redis.call('PEXPIRE', enqueued, ${ANSWER_TTL_MS})
return added
`;

export const enqueue = defineScript<EnqueueArgs, EnqueueReply>({
  name: "enqueue",
  lua,
  keys: {
    enqueued: ({ partition, signal }) => new RegionKeys(partition).enqueued(signal.id),
    jobs: ({ partition, broker }) => new RegionKeys(partition).jobs(broker),
    header: ({ partition }) => new RegionKeys(partition).header,
  },
  args: {
    signal: ({ signal }) => JSON.stringify(signal),
    broker: ({ broker }) => broker,
  },
  rest: ({ shards }) => shards.flatMap(({ shard, version, count }) => [shard, version, count]),
  columns: ["shard", "version", "count"],
  reply: parseEnqueued,
});

/** An opening signal's routes as one enqueue per region, region partition and broker, in this signal's order of service. A close has others: `closeDispatchesOf`. */
export function dispatchesOf(
  signal: AcceptedSignal,
  routes: readonly Route[],
): { readonly region: string; readonly enqueue: EnqueueArgs }[] {
  if (signal.action === "close") return [];
  const groups = new Map<string, { region: string; first: Route; shards: Route[] }>();
  const inOrder = [...routes].sort((a, b) => a.partition - b.partition || a.shard - b.shard);
  for (const route of rotate(inOrder, signal.sequence)) {
    const key = `${route.region}/${route.partition}/${route.broker}`;
    const group = groups.get(key) ?? { region: route.region, first: route, shards: [] };
    group.shards.push(route);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ region, first, shards }) => ({
    region,
    enqueue: { signal, partition: first.partition, broker: first.broker, shards },
  }));
}
