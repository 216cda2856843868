/**
 * How a job's copies ended, written with the acknowledgement in one step on
 * the region partition, and later the answers to what stayed unknown. The
 * second writer of either changes nothing: that is the fence which consumer
 * groups lack.
 */
import {
  clientOrderId,
  type AccountId,
  type ClientOrderId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { OutcomeCounts } from "../../../domain/copier/outcome.ts";
import { ANSWER_TTL_MS, keptMs } from "../../../redis/accept.ts";
import { packOutcomes, type OutcomesEvent } from "./events.ts";
import type { IntendedOrder, Intents } from "./intents.ts";
import { jobFields, type Job } from "../../../redis/job.ts";
import { liveChannel, RegionKeys } from "../../../redis/keys.ts";
import { asInteger, type Script } from "../../../redis/script.ts";
import { FREE_PLACES_LUA } from "./places.ts";
import { RELEASE_LUA, usageKeys } from "./caps.ts";

interface Reported {
  readonly partition: number;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  readonly event: OutcomesEvent;
  readonly counts: OutcomeCounts;
  /** Orders that give their part of their follower's caps back, see `releasedOf`. */
  readonly released?: readonly Released[];
  /** Orders that give their place in their account back, see `freedOf`; absent where the broker does not care. */
  readonly freed?: readonly (readonly [AccountId, ClientOrderId])[] | undefined;
}

/** An order that gives back all of its part of the caps, or all but the stake that was filled. */
export type Released = ClientOrderId | readonly [ClientOrderId, filledCents: number];

export interface ReportArgs extends Reported {
  readonly job: Job;
  /** What the job's orders are on, where some are not on the signal's own terms. */
  readonly intents?: Intents;
}

/** `add_progress(key, live, placed, rejected, skipped, unknown, elapsed)`: adds to the counts and wakes whoever watches. */
export const PROGRESS_LUA = `
local function add_progress(key, live, placed, rejected, skipped, unknown, elapsed)
  redis.call('HINCRBY', key, 'placed', placed)
  redis.call('HINCRBY', key, 'rejected', rejected)
  redis.call('HINCRBY', key, 'skipped', skipped)
  redis.call('HINCRBY', key, 'unknown', unknown)
  if elapsed ~= '' then
    local known = redis.call('HMGET', key, 'firstMs', 'lastMs')
    if not known[1] or tonumber(elapsed) < tonumber(known[1]) then redis.call('HSET', key, 'firstMs', elapsed) end
    if not known[2] or tonumber(elapsed) > tonumber(known[2]) then redis.call('HSET', key, 'lastMs', elapsed) end
  end
  redis.call('PEXPIRE', key, ${ANSWER_TTL_MS})
  redis.call('PUBLISH', live, '1')
end
`;

/** `tell(unknown)`: the event, its counts, and what its orders give back, of `toldKeys` and `toldArgs`. */
const TELL_LUA = `
${PROGRESS_LUA}
${RELEASE_LUA}
${FREE_PLACES_LUA}
local function tell(unknown)
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
  add_progress(KEYS[3], ARGV[3], ARGV[4], ARGV[5], ARGV[6], unknown, ARGV[7])
  release_all(KEYS[5], KEYS[6], ARGV[8])
  free_places(KEYS[7], ARGV[9])
end
`;

function toldKeys(partition: number, { signal, broker, shard }: Job, stream: string): string[] {
  const region = new RegionKeys(partition);
  return [
    region.job(signal.id, broker, shard),
    region.events,
    region.progress(signal.id),
    stream,
    ...usageKeys(partition, broker),
    region.places(broker),
  ];
}

function toldArgs({ entry, event, counts, released = [], freed = [] }: Reported): string[] {
  return [
    entry,
    JSON.stringify(packOutcomes(event)),
    liveChannel(event.signal),
    String(counts.placed),
    String(counts.rejected),
    String(counts.skipped),
    elapsedMs(event),
    JSON.stringify(released),
    JSON.stringify(freed),
  ];
}

const reportLua = `
${TELL_LUA}
local unknown = tonumber(ARGV[10])
local fresh = redis.call('HSETNX', KEYS[1], 'outcomes', 1)
if fresh == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[13])
  tell(unknown)
  if unknown > 0 then
    -- A Redis that lost its tail may have lost the intents, and the question is asked by them.
    redis.call('HSETNX', KEYS[1], 'intents', ARGV[12])
    redis.call('HSET', KEYS[1], 'unknown', ARGV[11])
    redis.call('XADD', KEYS[8], '*', unpack(ARGV, 14))
  end
end
redis.call('XACK', KEYS[4], 'workers', ARGV[1])
return fresh
`;

/**
 * Writes a job's outcomes and acknowledges it; whatever stayed unknown becomes
 * a question. Replies false where its outcomes stood already.
 */
export const report: Script<ReportArgs, boolean> = {
  name: "report",
  lua: reportLua,
  keys: ({ partition, job }) => {
    const region = new RegionKeys(partition);
    const { broker } = job;
    return [...toldKeys(partition, job, region.jobs(broker)), region.questions(broker)];
  },
  args: ({ job, intents, ...told }) => [
    ...toldArgs(told),
    String(told.counts.unknown),
    JSON.stringify(unknownOf(told.event)),
    JSON.stringify(unknownIntents(told.event, intents)),
    String(keptMs(job.signal)),
    ...jobFields(job),
  ],
  reply: (raw) => asInteger(raw) === 1,
};

const answerLua = `
${TELL_LUA}
local before, after = ARGV[10], ARGV[11]
redis.call('XACK', KEYS[4], 'workers', ARGV[1])
if redis.call('HGET', KEYS[1], 'unknown') ~= before then return 0 end
if after ~= before then
  if after == '[]' then redis.call('HDEL', KEYS[1], 'unknown') else redis.call('HSET', KEYS[1], 'unknown', after) end
  tell(-(tonumber(ARGV[4]) + tonumber(ARGV[5]) + tonumber(ARGV[6])))
end
if after ~= '[]' then redis.call('XADD', KEYS[4], '*', unpack(ARGV, 12)) end
return 1
`;

export interface AnswerArgs extends Reported {
  readonly job: Job;
  /** Whose fate was unknown when the broker was asked. */
  readonly unknown: readonly SubscriptionId[];
}

/**
 * Writes how a job's unknown orders did end, as many as the broker could tell
 * of, and acknowledges the question; for the others it goes to the end of its
 * stream. Replies false where another has answered meanwhile.
 */
export const answer: Script<AnswerArgs, boolean> = {
  name: "answer",
  lua: answerLua,
  keys: ({ partition, job }) =>
    toldKeys(partition, job, new RegionKeys(partition).questions(job.broker)),
  args: ({ job, unknown, ...told }) => {
    const answered = new Set(told.event.copies.map(([subscription]) => subscription));
    return [
      ...toldArgs(told),
      JSON.stringify(unknown),
      JSON.stringify(unknown.filter((each) => !answered.has(each))),
      ...jobFields(job),
    ];
  },
  reply: (raw) => asInteger(raw) === 1,
};

function unknownOf({ copies }: OutcomesEvent): SubscriptionId[] {
  return copies.flatMap(([subscription, , { kind }]) => (kind === "unknown" ? [subscription] : []));
}

/** The orders that hold a part of their follower's caps and were not opened, or not at their whole stake. */
export function releasedOf({ orders }: Intents, { signal, copies }: OutcomesEvent): Released[] {
  const reserved = new Map(
    orders.flatMap(([subscription, , stakeCents, terms]) =>
      terms?.reserved ? [[subscription, stakeCents] as const] : [],
    ),
  );
  if (reserved.size === 0) return [];
  return copies.flatMap(([subscription, , outcome]): Released[] => {
    const askedCents = reserved.get(subscription);
    if (askedCents === undefined || outcome.kind === "unknown") return [];
    const id = clientOrderId(signal, subscription);
    if (outcome.kind !== "placed") return [id];
    return outcome.stakeCents < askedCents ? [[id, outcome.stakeCents]] : [];
  });
}

/** The intents of those orders alone. */
function unknownIntents({ decidedAtMs, copies }: OutcomesEvent, intents?: Intents): Intents {
  const orders = copies.flatMap(([subscription, account, outcome]): IntendedOrder[] => {
    if (outcome.kind !== "unknown") return [];
    const intended = intents?.orders.find(([each]) => each === subscription);
    return [intended ?? [subscription, account, outcome.stakeCents]];
  });
  return { decidedAtMs, orders, skips: [] };
}

/** From the acceptance to the broker's answer; empty where no broker was asked. */
export function elapsedMs({
  answeredAtMs,
  acceptedAtMs,
}: Pick<OutcomesEvent, "answeredAtMs" | "acceptedAtMs">): string {
  return answeredAtMs === null ? "" : String(Math.max(0, answeredAtMs - acceptedAtMs));
}
