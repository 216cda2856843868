/**
 * What a broker's worker writes of one job, each in one step on the region
 * partition: its intents before anything is sent, its outcomes with the
 * acknowledgement, and later the answers to what stayed unknown. The second
 * writer of any of them changes nothing: that is the fence which consumer
 * groups lack.
 */
import {
  clientOrderId,
  type AccountId,
  type ClientOrderId,
  type SubscriptionId,
} from "../domain/ids.ts";
import type { OrderTerms } from "../domain/order.ts";
import type { OutcomeCounts, SkipReason } from "../domain/outcome.ts";
import { ANSWER_TTL_MS } from "./accept.ts";
import { packOutcomes, type OutcomesEvent } from "./events.ts";
import { liveChannel, RegionKeys } from "./keys.ts";
import type { Job } from "./job.ts";
import { CLOCK_SKEW_MS, LUA_RUN_SINCE } from "./run.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";
import {
  parseOvertaken,
  RELEASE_LUA,
  reservationsArg,
  RESERVE_LUA,
  usageKeys,
  type OrderReservation,
} from "./usage.ts";

/** An order's terms are there only where something of them is not as the signal says, or it counts in a usage. */
export type IntendedOrder = readonly [
  SubscriptionId,
  AccountId,
  stakeCents: number,
  terms?: OrderTerms & { readonly reserved?: true },
];

/** What was decided for a shard, before anything of it is sent. */
export interface Intents {
  readonly decidedAtMs: number;
  readonly orders: readonly IntendedOrder[];
  readonly skips: readonly (readonly [SubscriptionId, AccountId, SkipReason])[];
}

export interface IntendArgs {
  readonly partition: number;
  readonly job: Job;
  /** The version of the shard that was decided on. */
  readonly shardVersion: number;
  /** The version of the halts that it was decided under. */
  readonly haltsVersion: string;
  readonly intents: Intents;
  /** Of the orders whose followers have caps; absent where there are none. */
  readonly reservations?: readonly OrderReservation[];
  /** Whether it was decided as of the acceptance, because the script had replied `older`. */
  readonly older?: boolean;
}

export type IntendReply =
  /** Written: this worker may send, and nobody else will. */
  | { readonly kind: "new" }
  /** The job was here before: its orders may have been sent. */
  | { readonly kind: "known"; readonly intents: Intents }
  /** Its outcomes stand already. */
  | { readonly kind: "over" }
  /** The shard or the halts changed since they were read. */
  | { readonly kind: "stale" }
  /** These followers' usage changed since it was read, and is this now. */
  | { readonly kind: "overtaken"; readonly usages: ReadonlyMap<SubscriptionId, string> }
  /**
   * The signal is older than this Redis' run, so intents may have stood here
   * that were lost with the run before: to be decided as of the acceptance, and
   * taken as maybe sent.
   */
  | { readonly kind: "older" };

const intendLua = `
${RESERVE_LUA}
${LUA_NOW}
${LUA_RUN_SINCE}
local intents, outcomes = unpack(redis.call('HMGET', KEYS[1], 'intents', 'outcomes'))
if outcomes then return {'over'} end
if intents then return {'known', intents} end
if redis.call('HGET', KEYS[2], 'version:' .. ARGV[1]) ~= ARGV[2] then return {'stale'} end
if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[4] then return {'stale'} end
if ARGV[7] == '0' and tonumber(ARGV[6]) - ${CLOCK_SKEW_MS} <= run_since(KEYS[6]) then return {'older'} end
local wanted = wanted_of(ARGV[5])
local moved = overtaken(KEYS[4], wanted)
if #moved > 0 then return {'overtaken', moved} end
reserve(KEYS[4], KEYS[5], wanted)
redis.call('HSET', KEYS[1], 'intents', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ${ANSWER_TTL_MS})
return {'new'}
`;

export const intend: Script<IntendArgs, IntendReply> = {
  name: "intend",
  lua: intendLua,
  keys: ({ partition, job: { signal, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [
      region.job(signal.id, broker, shard),
      region.rosterHead(signal.channel, broker),
      region.halts,
      ...usageKeys(partition, broker),
      region.run,
    ];
  },
  args: ({
    job: { shard, signal },
    shardVersion,
    haltsVersion,
    intents,
    reservations = [],
    older = false,
  }) => [
    String(shard),
    String(shardVersion),
    JSON.stringify(intents),
    haltsVersion,
    reservationsArg(reservations),
    String(signal.acceptedAtMs),
    older ? "1" : "0",
  ],
  reply(raw) {
    const [kind, more] = asList(raw);
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    if (kind === "overtaken") return { kind, usages: parseOvertaken(asList(more)) };
    return { kind: kind as Exclude<IntendReply["kind"], "known" | "overtaken"> };
  },
};

interface Reported {
  readonly partition: number;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  readonly event: OutcomesEvent;
  readonly counts: OutcomeCounts;
  /** Orders that give their part of their follower's caps back, see `releasedOf`. */
  readonly released?: readonly ClientOrderId[];
}

export interface ReportArgs extends Reported {
  readonly job: Job;
  /** What the job's orders are on, where some are not on the signal's own terms. */
  readonly intents?: Intents;
}

const PROGRESS_LUA = `
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

const reportLua = `
${PROGRESS_LUA}
${RELEASE_LUA}
local entry, event, live = ARGV[1], ARGV[2], ARGV[3]
local fresh = redis.call('HSETNX', KEYS[1], 'outcomes', 1)
if fresh == 1 then
  redis.call('PEXPIRE', KEYS[1], ${ANSWER_TTL_MS})
  redis.call('XADD', KEYS[2], '*', 'event', event)
  add_progress(KEYS[3], live, ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
  release_all(KEYS[6], KEYS[7], ARGV[11])
  if tonumber(ARGV[7]) > 0 then
    -- A Redis that lost its tail may have lost the intents, and the question is asked by them.
    redis.call('HSETNX', KEYS[1], 'intents', ARGV[10])
    redis.call('HSET', KEYS[1], 'unknown', ARGV[9])
    redis.call('XADD', KEYS[5], '*', unpack(ARGV, 12))
  end
end
redis.call('XACK', KEYS[4], 'workers', entry)
return fresh
`;

/**
 * Writes a job's outcomes and acknowledges it; whatever stayed unknown becomes
 * a question. Replies false where its outcomes stood already.
 */
export const report: Script<ReportArgs, boolean> = {
  name: "report",
  lua: reportLua,
  keys: ({ partition, job: { signal, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [
      region.job(signal.id, broker, shard),
      region.events,
      region.progress(signal.id),
      region.jobs(broker),
      region.questions(broker),
      ...usageKeys(partition, broker),
    ];
  },
  args: ({ entry, event, counts, job, intents, released = [] }) => [
    entry,
    JSON.stringify(packOutcomes(event)),
    liveChannel(event.signal),
    String(counts.placed),
    String(counts.rejected),
    String(counts.skipped),
    String(counts.unknown),
    elapsedMs(event),
    JSON.stringify(unknownOf(event)),
    JSON.stringify(unknownIntents(event, intents)),
    JSON.stringify(released),
    ...jobFields(job),
  ],
  reply: (raw) => asInteger(raw) === 1,
};

const answerLua = `
${PROGRESS_LUA}
${RELEASE_LUA}
local entry, event, live, before, after = ARGV[1], ARGV[2], ARGV[3], ARGV[8], ARGV[9]
redis.call('XACK', KEYS[4], 'workers', entry)
if redis.call('HGET', KEYS[1], 'unknown') ~= before then return 0 end
if after ~= before then
  if after == '[]' then redis.call('HDEL', KEYS[1], 'unknown') else redis.call('HSET', KEYS[1], 'unknown', after) end
  redis.call('XADD', KEYS[2], '*', 'event', event)
  local answered = tonumber(ARGV[4]) + tonumber(ARGV[5]) + tonumber(ARGV[6])
  add_progress(KEYS[3], live, ARGV[4], ARGV[5], ARGV[6], -answered, ARGV[7])
  release_all(KEYS[5], KEYS[6], ARGV[10])
end
if after ~= '[]' then redis.call('XADD', KEYS[4], '*', unpack(ARGV, 11)) end
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
  keys: ({ partition, job: { signal, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [
      region.job(signal.id, broker, shard),
      region.events,
      region.progress(signal.id),
      region.questions(broker),
      ...usageKeys(partition, broker),
    ];
  },
  args: ({ entry, event, counts, job, unknown, released = [] }) => {
    const answered = new Set(event.copies.map(([subscription]) => subscription));
    return [
      entry,
      JSON.stringify(packOutcomes(event)),
      liveChannel(event.signal),
      String(counts.placed),
      String(counts.rejected),
      String(counts.skipped),
      elapsedMs(event),
      JSON.stringify(unknown),
      JSON.stringify(unknown.filter((each) => !answered.has(each))),
      JSON.stringify(released),
      ...jobFields(job),
    ];
  },
  reply: (raw) => asInteger(raw) === 1,
};

function unknownOf({ copies }: OutcomesEvent): SubscriptionId[] {
  return copies.flatMap(([subscription, , { kind }]) => (kind === "unknown" ? [subscription] : []));
}

/** The orders that hold a part of their follower's caps and were not opened. */
export function releasedOf(
  { orders }: Intents,
  { signal, copies }: OutcomesEvent,
): ClientOrderId[] {
  const reserved = new Set(
    orders.flatMap(([subscription, , , terms]) => (terms?.reserved ? [subscription] : [])),
  );
  if (reserved.size === 0) return [];
  return copies.flatMap(([subscription, , { kind }]) =>
    reserved.has(subscription) && (kind === "rejected" || kind === "skipped")
      ? [clientOrderId(signal, subscription)]
      : [],
  );
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
function elapsedMs({ answeredAtMs, acceptedAtMs }: OutcomesEvent): string {
  return answeredAtMs === null ? "" : String(Math.max(0, answeredAtMs - acceptedAtMs));
}

function jobFields(job: Job): string[] {
  return [
    ...["signal", JSON.stringify(job.signal), "broker", job.broker],
    ...["shard", String(job.shard), "version", String(job.version)],
    ...["count", String(job.count), "dispatchedAtMs", String(job.dispatchedAtMs)],
  ];
}

export interface StoredJob {
  readonly intents: Intents;
  /** Whose fate is unknown still. */
  readonly unknown: readonly SubscriptionId[];
}

/** Fields to `HMGET` of `RegionKeys.job`. */
export const STORED_JOB_FIELDS = ["intents", "unknown"] as const;

export function parseStoredJob(raw: unknown): StoredJob | undefined {
  const [intents, unknown] = asList(raw);
  if (typeof intents !== "string") return undefined;
  return {
    intents: JSON.parse(intents) as Intents,
    unknown: typeof unknown === "string" ? (JSON.parse(unknown) as SubscriptionId[]) : [],
  };
}
