/**
 * How a job's copies ended, written with the acknowledgement in one step on
 * the region partition, and later the answers to what was unknown. The
 * second writer of either changes nothing: that is the fence which consumer
 * groups lack.
 */
import type { Copy } from "../../../domain/copier/copy.ts";
import { countOutcomes, type Outcome, type OutcomeCounts } from "../../../domain/copier/outcome.ts";
import type { ClientOrderId, SubscriptionId } from "../../../domain/ids.ts";
import { ANSWER_TTL_MS, keptMs } from "../../../redis/accept.ts";
import { packOutcomes, type OutcomesEvent } from "./events.ts";
import { packIntents, type Decided } from "./intents.ts";
import { jobFields, type Job } from "../../../redis/job.ts";
import { liveChannel, RegionKeys } from "../../../redis/keys.ts";
import { asInteger, type Script } from "../../../redis/script.ts";
import { FREE_PLACES_LUA, freedOf } from "./places.ts";
import { RELEASE_LUA, usageKeys } from "./caps.ts";

export interface ReportArgs extends Decided {
  readonly partition: number;
  readonly job: Job;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  /** Null where nothing was sent. */
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
  /** As the intents were written with it. */
  readonly ordersPerAccount?: number | undefined;
}

/** An order that gives back all of its part of the caps, or all but the stake that was filled. */
type Released = ClientOrderId | readonly [ClientOrderId, filledCents: number];

/** Of the copies that have ended. */
export function countCopies(copies: readonly Copy[]): OutcomeCounts {
  const outcomes: Outcome[] = [];
  for (const { outcome } of copies) if (outcome) outcomes.push(outcome);
  return countOutcomes(outcomes);
}

/** `add_progress(key, live, placed, rejected, skipped, unknown, elapsed)`: adds to the counts and wakes those who watch. */
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

/** `write_outcomes(unknown)`: the event, its counts, and what its orders give back, of `outcomeKeys` and `outcomeArgs`. */
const WRITE_OUTCOMES_LUA = `
${PROGRESS_LUA}
${RELEASE_LUA}
${FREE_PLACES_LUA}
local function write_outcomes(unknown)
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
  add_progress(KEYS[3], ARGV[3], ARGV[4], ARGV[5], ARGV[6], unknown, ARGV[7])
  release_all(KEYS[5], KEYS[6], ARGV[8])
  free_places(KEYS[7], ARGV[9])
end
`;

function outcomeKeys(partition: number, { signal, broker, shard }: Job, stream: string): string[] {
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

function outcomeArgs(
  {
    entry,
    job: { signal, broker, shard, dispatchedAtMs },
    copies,
    decidedAtMs,
    sentAtMs,
    answeredAtMs,
    ordersPerAccount,
  }: ReportArgs,
  { placed, rejected, skipped }: OutcomeCounts,
): string[] {
  const head = {
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
  return [
    entry,
    JSON.stringify(packOutcomes(head, copies)),
    liveChannel(signal.id),
    String(placed),
    String(rejected),
    String(skipped),
    elapsedMs(head),
    JSON.stringify(releasedOf(copies)),
    ordersPerAccount === undefined ? "[]" : JSON.stringify(freedOf(copies)),
  ];
}

const reportLua = `
${WRITE_OUTCOMES_LUA}
local unknown = tonumber(ARGV[10])
local fresh = redis.call('HSETNX', KEYS[1], 'outcomes', 1)
if fresh == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[13])
  write_outcomes(unknown)
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
 * Writes a job's outcomes and acknowledges it; what is unknown becomes a
 * question. Replies false where its outcomes were written already.
 */
export const report: Script<ReportArgs, boolean> = {
  name: "report",
  lua: reportLua,
  keys: ({ partition, job }) => {
    const region = new RegionKeys(partition);
    const { broker } = job;
    return [...outcomeKeys(partition, job, region.jobs(broker)), region.questions(broker)];
  },
  args: (args) => {
    const { job, decidedAtMs, copies } = args;
    const counts = countCopies(copies);
    const unknown = counts.unknown === 0 ? [] : copies.filter(isUnknown);
    return [
      ...outcomeArgs(args, counts),
      String(counts.unknown),
      JSON.stringify(unknown.map(({ subscription }) => subscription)),
      JSON.stringify(packIntents({ decidedAtMs, copies: unknown })),
      String(keptMs(job.signal)),
      ...jobFields(job),
    ];
  },
  reply: (raw) => asInteger(raw) === 1,
};

const answerLua = `
${WRITE_OUTCOMES_LUA}
local before, after = ARGV[10], ARGV[11]
redis.call('XACK', KEYS[4], 'workers', ARGV[1])
if redis.call('HGET', KEYS[1], 'unknown') ~= before then return 0 end
if after ~= before then
  if after == '[]' then redis.call('HDEL', KEYS[1], 'unknown') else redis.call('HSET', KEYS[1], 'unknown', after) end
  write_outcomes(-(tonumber(ARGV[4]) + tonumber(ARGV[5]) + tonumber(ARGV[6])))
end
if after ~= '[]' then redis.call('XADD', KEYS[4], '*', unpack(ARGV, 12)) end
return 1
`;

export interface AnswerArgs extends ReportArgs {
  /** Whose fate was unknown when the broker was asked. */
  readonly unknown: readonly SubscriptionId[];
}

/**
 * Writes how a job's unknown orders did end, as many as the broker could
 * answer, and acknowledges the question; for the others it goes to the end of its
 * stream. Replies false where another has answered meanwhile.
 */
export const answer: Script<AnswerArgs, boolean> = {
  name: "answer",
  lua: answerLua,
  keys: ({ partition, job }) =>
    outcomeKeys(partition, job, new RegionKeys(partition).questions(job.broker)),
  args: (args) => {
    const { job, copies, unknown } = args;
    const ended = copies.filter(({ outcome }) => outcome);
    const answered = new Set(ended.map(({ subscription }) => subscription));
    return [
      ...outcomeArgs(args, countCopies(ended)),
      JSON.stringify(unknown),
      JSON.stringify(unknown.filter((each) => !answered.has(each))),
      ...jobFields(job),
    ];
  },
  reply: (raw) => asInteger(raw) === 1,
};

function isUnknown({ outcome }: Copy): boolean {
  return outcome?.kind === "unknown";
}

/** The orders that count in their follower's caps and were not opened, or not at their whole stake. */
function releasedOf(copies: readonly Copy[]): Released[] {
  const released: Released[] = [];
  for (const { clientOrderId, stakeCents, isReserved, outcome } of copies) {
    if (!isReserved || outcome === undefined || outcome.kind === "unknown") continue;
    if (outcome.kind !== "placed") released.push(clientOrderId);
    else if (outcome.stakeCents < stakeCents) released.push([clientOrderId, outcome.stakeCents]);
  }
  return released;
}

/** From the acceptance to the broker's answer; empty where no broker was asked. */
export function elapsedMs({
  answeredAtMs,
  acceptedAtMs,
}: Pick<OutcomesEvent, "answeredAtMs" | "acceptedAtMs">): string {
  return answeredAtMs === null ? "" : String(Math.max(0, answeredAtMs - acceptedAtMs));
}
