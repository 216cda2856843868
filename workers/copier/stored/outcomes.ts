/**
 * The outcomes of a job's copies, written with the acknowledgement in one step on
 * the region partition, and later the answers to unknown ones. The second writer
 * of either changes nothing: that is the fence which consumer groups lack.
 */
import type { Copy } from "../../../domain/copier/copy.ts";
import { countOutcomes, type Outcome, type OutcomeCounts } from "../../../domain/copier/outcome.ts";
import type { ClientOrderId, SubscriptionId } from "../../../domain/ids.ts";
import { ANSWER_TTL_MS, keptMs } from "../../../redis/accept.ts";
import { packOutcomes, type OutcomesEvent } from "./events.ts";
import { packIntents, type Decided } from "./intents.ts";
import { jobFields, type Job } from "../../../redis/job.ts";
import { liveChannel, RegionKeys } from "../../../redis/keys.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";
import { FREE_PLACES_LUA, freedOf } from "./places.ts";
import { RELEASE_LUA, USAGE_KEYS } from "./caps.ts";

export interface ReportArgs extends Decided {
  readonly partition: number;
  readonly job: Job;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  /** The counts of `copies`, see `countCopies`. */
  readonly counts: OutcomeCounts;
  /** Null if nothing was sent. */
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
  /** The same value as in the intents. */
  readonly ordersPerAccount?: number | undefined;
}

/** An order that gives back all of its part of the caps, or all except the filled stake. */
type Released = ClientOrderId | readonly [ClientOrderId, filledCents: number];

/** Counts the copies that have ended. */
export function countCopies(copies: readonly Copy[]): OutcomeCounts {
  const outcomes: Outcome[] = [];
  for (const { outcome } of copies) if (outcome) outcomes.push(outcome);
  return countOutcomes(outcomes);
}

/**
 * `add_progress(key, live, placed, rejected, skipped, unknown, elapsed)`: adds to
 * the counts and wakes the waiting readers.
 */
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

/**
 * `write_outcomes(unknown)` writes the event and its counts, and gives back parts
 * of caps, from `OUTCOME_KEYS` and `OUTCOME_ARGS`.
 */
const WRITE_OUTCOMES_LUA = `
${PROGRESS_LUA}
${RELEASE_LUA}
${FREE_PLACES_LUA}
local function write_outcomes(unknown)
  redis.call('XADD', events, '*', 'event', event)
  add_progress(progress, live, placed, rejected, skipped, unknown, elapsed)
  release_all(usage, reserved, released)
  free_places(places, freed)
end
`;

const OUTCOME_KEYS = {
  job: ({ partition, job: { signal, broker, shard } }: ReportArgs) =>
    new RegionKeys(partition).job(signal.id, broker, shard),
  events: ({ partition }: ReportArgs) => new RegionKeys(partition).events,
  progress: ({ partition, job }: ReportArgs) => new RegionKeys(partition).progress(job.signal.id),
  usage: ({ partition, job }: ReportArgs) => USAGE_KEYS.usage({ partition, broker: job.broker }),
  reserved: ({ partition, job }: ReportArgs) =>
    USAGE_KEYS.reserved({ partition, broker: job.broker }),
  places: ({ partition, job }: ReportArgs) => new RegionKeys(partition).places(job.broker),
};

const OUTCOME_ARGS = {
  entry: ({ entry }: ReportArgs) => entry,
  event: (args: ReportArgs) => JSON.stringify(packOutcomes(describeJob(args), args.copies)),
  live: ({ job }: ReportArgs) => liveChannel(job.signal.id),
  placed: ({ counts }: ReportArgs) => counts.placed,
  rejected: ({ counts }: ReportArgs) => counts.rejected,
  skipped: ({ counts }: ReportArgs) => counts.skipped,
  elapsed: ({ job, answeredAtMs }: ReportArgs) =>
    elapsedMs({ answeredAtMs, acceptedAtMs: job.signal.acceptedAtMs }),
  released: ({ copies }: ReportArgs) => JSON.stringify(findReleased(copies)),
  freed: ({ copies, ordersPerAccount }: ReportArgs) =>
    ordersPerAccount === undefined ? "[]" : JSON.stringify(freedOf(copies)),
};

/** The fields of an event that are not about single copies. */
function describeJob({
  job: { signal, broker, shard, dispatchedAtMs },
  decidedAtMs,
  sentAtMs,
  answeredAtMs,
}: ReportArgs) {
  return {
    kind: "outcomes",
    signal: signal.id,
    broker,
    shard,
    acceptedAtMs: signal.acceptedAtMs,
    dispatchedAtMs,
    decidedAtMs,
    sentAtMs,
    answeredAtMs,
  } as const;
}

const reportLua = `
${WRITE_OUTCOMES_LUA}
local unknown = tonumber(unknown_count)
local fresh = redis.call('HSETNX', job, 'outcomes', 1)
if fresh == 1 then
  redis.call('PEXPIRE', job, kept_ms)
  write_outcomes(unknown)
  if unknown > 0 then
    -- A Redis that lost its tail may have lost the intents, and the question needs them.
    redis.call('HSETNX', job, 'intents', unknown_intents)
    redis.call('HSET', job, 'unknown', unknown_copies)
    redis.call('XADD', questions, '*', unpack(ARGV, rest))
  end
end
redis.call('XACK', jobs, 'workers', entry)
return fresh
`;

/**
 * Writes a job's outcomes and acknowledges it. Unknown copies become a question.
 * Replies false if its outcomes were already written.
 */
export const report = defineScript<ReportArgs, boolean>({
  name: "report",
  lua: reportLua,
  keys: {
    ...OUTCOME_KEYS,
    jobs: ({ partition, job }) => new RegionKeys(partition).jobs(job.broker),
    questions: ({ partition, job }) => new RegionKeys(partition).questions(job.broker),
  },
  args: {
    ...OUTCOME_ARGS,
    unknown_count: ({ counts }) => counts.unknown,
    unknown_copies: ({ counts, copies }) =>
      counts.unknown === 0
        ? "[]"
        : JSON.stringify(copies.filter(isUnknown).map(({ subscription }) => subscription)),
    unknown_intents: ({ counts, decidedAtMs, copies }) =>
      counts.unknown === 0
        ? "[]"
        : JSON.stringify(packIntents({ decidedAtMs, copies: copies.filter(isUnknown) })),
    kept_ms: ({ job }) => keptMs(job.signal),
  },
  rest: ({ job }) => jobFields(job),
  reply: (raw) => asInteger(raw) === 1,
});

const answerLua = `
${WRITE_OUTCOMES_LUA}
redis.call('XACK', questions, 'workers', entry)
if redis.call('HGET', job, 'unknown') ~= before then return 0 end
if after ~= before then
  if after == '[]' then redis.call('HDEL', job, 'unknown') else redis.call('HSET', job, 'unknown', after) end
  write_outcomes(-(tonumber(placed) + tonumber(rejected) + tonumber(skipped)))
end
if after ~= '[]' then redis.call('XADD', questions, '*', unpack(ARGV, rest)) end
return 1
`;

export interface AnswerArgs extends ReportArgs {
  /** The subscriptions that were unknown when the broker was asked. */
  readonly unknown: readonly SubscriptionId[];
}

/**
 * Writes the outcomes of a job's unknown orders that the broker could answer, and
 * acknowledges the question. For the others, the question goes to the end of its
 * stream. Replies false if another worker has answered meanwhile.
 */
export const answer = defineScript<AnswerArgs, boolean>({
  name: "answer",
  lua: answerLua,
  keys: {
    ...OUTCOME_KEYS,
    questions: ({ partition, job }) => new RegionKeys(partition).questions(job.broker),
  },
  args: {
    ...OUTCOME_ARGS,
    before: ({ unknown }) => JSON.stringify(unknown),
    after({ unknown, copies }) {
      const answered = new Set(
        copies.flatMap(({ subscription, outcome }) => (outcome ? [subscription] : [])),
      );
      return JSON.stringify(unknown.filter((each) => !answered.has(each)));
    },
  },
  rest: ({ job }) => jobFields(job),
  reply: (raw) => asInteger(raw) === 1,
});

function isUnknown({ outcome }: Copy): boolean {
  return outcome?.kind === "unknown";
}

/**
 * The orders that use a part of their follower's caps and were not opened, or not
 * with their whole stake.
 */
function findReleased(copies: readonly Copy[]): Released[] {
  const released: Released[] = [];
  for (const { clientOrderId, stakeCents, isReserved, outcome } of copies) {
    if (!isReserved || outcome === undefined || outcome.kind === "unknown") continue;
    if (outcome.kind !== "placed") released.push(clientOrderId);
    else if (outcome.stakeCents < stakeCents) released.push([clientOrderId, outcome.stakeCents]);
  }
  return released;
}

/** From the acceptance to the broker's answer; empty if no broker was asked. */
export function elapsedMs({
  answeredAtMs,
  acceptedAtMs,
}: Pick<OutcomesEvent, "answeredAtMs" | "acceptedAtMs">): string {
  return answeredAtMs === null ? "" : String(Math.max(0, answeredAtMs - acceptedAtMs));
}
