/**
 * Dispatch: one job per shard onto the job streams of a region partition, each
 * once however often the dispatch is repeated.
 */
import type { AcceptedSignal } from "../domain/signal.ts";
import { ANSWER_TTL_MS } from "./accept.ts";
import { RegionKeys } from "./keys.ts";
import { rotate, type Route } from "./route.ts";
import { asInteger, LUA_NOW, type Script } from "./script.ts";

export interface EnqueueArgs {
  readonly signal: AcceptedSignal;
  readonly partition: number;
  readonly broker: string;
  readonly shards: readonly Pick<Route, "shard" | "version" | "count">[];
}

const lua = `
${LUA_NOW}
local signal, broker, now, added = ARGV[1], ARGV[2], now_ms(), 0
for i = 3, #ARGV, 3 do
  local shard, version, count = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('HSETNX', KEYS[1], broker .. '/' .. shard, 1) == 1 then
    redis.call('XADD', KEYS[2], '*', 'signal', signal, 'broker', broker, 'shard', shard,
      'version', version, 'count', count, 'dispatchedAtMs', now)
    added = added + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ${ANSWER_TTL_MS})
return added
`;

/** Replies how many jobs were new. */
export const enqueue: Script<EnqueueArgs, number> = {
  name: "enqueue",
  lua,
  keys: ({ signal, partition, broker }) => {
    const region = new RegionKeys(partition);
    return [region.enqueued(signal.id), region.jobs(broker)];
  },
  args: ({ signal, broker, shards }) => [
    JSON.stringify(signal),
    broker,
    ...shards.flatMap(({ shard, version, count }) => [
      String(shard),
      String(version),
      String(count),
    ]),
  ],
  reply: asInteger,
};

/** A signal's routes as one enqueue per region, region partition and broker, in this signal's order of service. */
export function dispatchesOf(
  signal: AcceptedSignal,
  routes: readonly Route[],
): { readonly region: string; readonly enqueue: EnqueueArgs }[] {
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
