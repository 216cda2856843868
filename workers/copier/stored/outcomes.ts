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
import { asInteger, defineScript } from "../../../redis/script.ts";
import { FREE_PLACES_LUA } from "./places.ts";
import { RELEASE_LUA, USAGE_KEYS } from "./caps.ts";

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

/** `tell(unknown)`: the event, its counts, and what its orders give back, of `TOLD_KEYS` and `TOLD_ARGS`. */
const TELL_LUA = `
${PROGRESS_LUA}
${RELEASE_LUA}
${FREE_PLACES_LUA}
local function tell(unknown)
  redis.call('XADD', events, '*', 'event', event)
  add_progress(progress, live, placed, rejected, skipped, unknown, elapsed)
  release_all(usage, reserved, released)
  free_places(places, freed)
end
`;

type ReportedJob = Reported & { readonly job: Job };

const TOLD_KEYS = {
  job: ({ partition, job: { signal, broker, shard } }: ReportedJob) =>
    new RegionKeys(partition).job(signal.id, broker, shard),
  events: ({ partition }: ReportedJob) => new RegionKeys(partition).events,
  progress: ({ partition, job }: ReportedJob) => new RegionKeys(partition).progress(job.signal.id),
  usage: ({ partition, job }: ReportedJob) => USAGE_KEYS.usage({ partition, broker: job.broker }),
  reserved: ({ partition, job }: ReportedJob) =>
    USAGE_KEYS.reserved({ partition, broker: job.broker }),
  places: ({ partition, job }: ReportedJob) => new RegionKeys(partition).places(job.broker),
};

const TOLD_ARGS = {
  entry: ({ entry }: Reported) => entry,
  event: ({ event }: Reported) => JSON.stringify(packOutcomes(event)),
  live: ({ event }: Reported) => liveChannel(event.signal),
  placed: ({ counts }: Reported) => counts.placed,
  rejected: ({ counts }: Reported) => counts.rejected,
  skipped: ({ counts }: Reported) => counts.skipped,
  elapsed: ({ event }: Reported) => elapsedMs(event),
  released: ({ released = [] }: Reported) => JSON.stringify(released),
  freed: ({ freed = [] }: Reported) => JSON.stringify(freed),
};

const reportLua = `
${TELL_LUA}
local unknown = tonumber(unknown_count)
local fresh = redis.call('HSETNX', job, 'outcomes', 1)
if fresh == 1 then
  redis.call('PEXPIRE', job, kept_ms)
  tell(unknown)
  if unknown > 0 then
    -- A Redis that lost its tail may have lost the intents, and the question is asked by them.
    redis.call('HSETNX', job, 'intents', unknown_intents)
    redis.call('HSET', job, 'unknown', unknown_copies)
    redis.call('XADD', questions, '*', unpack(ARGV, rest))
  end
end
redis.call('XACK', jobs, 'workers', entry)
return fresh
`;

/**
 * Writes a job's outcomes and acknowledges it; whatever stayed unknown becomes
 * a question. Replies false where its outcomes stood already.
 */
export const report = defineScript<ReportArgs, boolean>({
  name: "report",
  lua: reportLua,
  keys: {
    ...TOLD_KEYS,
    jobs: ({ partition, job }) => new RegionKeys(partition).jobs(job.broker),
    questions: ({ partition, job }) => new RegionKeys(partition).questions(job.broker),
  },
  args: {
    ...TOLD_ARGS,
    unknown_count: ({ counts }) => counts.unknown,
    unknown_copies: ({ event }) => JSON.stringify(unknownOf(event)),
    unknown_intents: ({ event, intents }) => JSON.stringify(unknownIntents(event, intents)),
    kept_ms: ({ job }) => keptMs(job.signal),
  },
  rest: ({ job }) => jobFields(job),
  reply: (raw) => asInteger(raw) === 1,
});

const answerLua = `
${TELL_LUA}
redis.call('XACK', questions, 'workers', entry)
if redis.call('HGET', job, 'unknown') ~= before then return 0 end
if after ~= before then
  if after == '[]' then redis.call('HDEL', job, 'unknown') else redis.call('HSET', job, 'unknown', after) end
  tell(-(tonumber(placed) + tonumber(rejected) + tonumber(skipped)))
end
if after ~= '[]' then redis.call('XADD', questions, '*', unpack(ARGV, rest)) end
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
export const answer = defineScript<AnswerArgs, boolean>({
  name: "answer",
  lua: answerLua,
  keys: {
    ...TOLD_KEYS,
    questions: ({ partition, job }) => new RegionKeys(partition).questions(job.broker),
  },
  args: {
    ...TOLD_ARGS,
    before: ({ unknown }) => JSON.stringify(unknown),
    after({ unknown, event }) {
      const answered = new Set(event.copies.map(([subscription]) => subscription));
      return JSON.stringify(unknown.filter((each) => !answered.has(each)));
    },
  },
  rest: ({ job }) => jobFields(job),
  reply: (raw) => asInteger(raw) === 1,
});

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
