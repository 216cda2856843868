/**
 * The intents of a job: what was decided for a shard, written in one step on
 * the region partition before anything of it is sent. Whoever finds them there
 * knows that its orders may have been sent.
 */
import type { AccountId, SubscriptionId } from "../../../domain/ids.ts";
import type { OrderTerms } from "../../../domain/copier/order.ts";
import type { SkipReason } from "../../../domain/copier/outcome.ts";
import { keptMs } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Job } from "../../../redis/job.ts";
import { placesArg, TAKE_PLACES_LUA } from "./places.ts";
import { CLOCK_SKEW_MS, LUA_RUN_SINCE } from "./run.ts";
import { asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";
import {
  parseOvertaken,
  reservationsArg,
  RESERVE_LUA,
  USAGE_KEYS,
  type OrderReservation,
} from "./caps.ts";

/** An order's terms are there only where something of them is not as the signal says, or needs care. */
export type IntendedOrder = readonly [
  SubscriptionId,
  AccountId,
  stakeCents: number,
  terms?: OrderTerms & {
    /** It counts in a usage. */
    readonly reserved?: true;
    /** It may have been sent, and must not be now; told as skipped for this where it was never opened. */
    readonly askOnly?: SkipReason;
  },
];

/** What was decided for a shard, before anything of it is sent. */
export interface Intents {
  readonly decidedAtMs: number;
  readonly orders: readonly IntendedOrder[];
  readonly skips: readonly (readonly [SubscriptionId, AccountId, SkipReason])[];
}

export interface AbandonArgs {
  readonly partition: number;
  readonly job: Job;
  /** What is written where nothing was: no order of it leaves. */
  readonly intents: Intents;
  /** What is written where that may have been forgotten: the broker is asked about each. */
  readonly asked: Intents;
}

/** A job, and the run of its partition's Redis. */
const JOB_KEYS = {
  job: ({ partition, job: { signal, broker, shard } }: JobPlace) =>
    new RegionKeys(partition).job(signal.id, broker, shard),
  run: ({ partition }: JobPlace) => new RegionKeys(partition).run,
};
type JobPlace = Pick<AbandonArgs, "partition" | "job">;

export type AbandonReply = Extract<IntendReply, { kind: "new" | "known" | "over" | "older" }>;

const abandonLua = `
${LUA_NOW}
${LUA_RUN_SINCE}
local known, outcomes = unpack(redis.call('HMGET', job, 'intents', 'outcomes'))
if outcomes then return {'over'} end
if known then return {'known', known} end
local is_older = tonumber(accepted_at) - ${CLOCK_SKEW_MS} <= run_since(run)
redis.call('HSET', job, 'intents', is_older and asked or intents)
redis.call('PEXPIRE', job, kept_ms)
return {is_older and 'older' or 'new'}
`;

/**
 * Takes a job that cannot be worked with out of everyone's hands: from here on
 * no worker sends an order of it for the first time. Replies `known` where one
 * may have been sent already, and `older` where that may have been forgotten.
 */
export const abandon = defineScript<AbandonArgs, AbandonReply>({
  name: "abandon",
  lua: abandonLua,
  keys: JOB_KEYS,
  args: {
    intents: ({ intents }) => JSON.stringify(intents),
    kept_ms: ({ job }) => keptMs(job.signal),
    accepted_at: ({ job }) => job.signal.acceptedAtMs,
    asked: ({ asked }) => JSON.stringify(asked),
  },
  reply(raw) {
    const [kind, more] = asList(raw);
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    return { kind: kind as Exclude<AbandonReply["kind"], "known"> };
  },
});

export interface IntendArgs {
  readonly partition: number;
  readonly job: Job;
  /** The version of the shard that was decided on. */
  readonly shardVersion: number;
  /** The version of the halts that it was decided under. */
  readonly haltsVersion: string;
  /** The version of the layers that it was decided under. */
  readonly layersVersion: string;
  readonly intents: Intents;
  /** Of the orders whose followers have caps; absent where there are none. */
  readonly reservations?: readonly OrderReservation[];
  /** How many orders of one account may be unanswered at once; absent where the broker does not care. */
  readonly ordersPerAccount?: number | undefined;
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
  /** The shard, the halts or the layers changed since they were read. */
  | { readonly kind: "stale" }
  /** These followers' usage changed since it was read, and is this now. */
  | { readonly kind: "overtaken"; readonly usages: ReadonlyMap<SubscriptionId, string> }
  /** The accounts of these have as many orders unanswered as the broker takes. */
  | { readonly kind: "crowded"; readonly subscriptions: readonly SubscriptionId[] }
  /**
   * The signal is older than this Redis' run, so intents may have stood here
   * that were lost with the run before: to be decided as of the acceptance, and
   * taken as maybe sent.
   */
  | { readonly kind: "older" };

const intendLua = `
${RESERVE_LUA}
${TAKE_PLACES_LUA}
${LUA_NOW}
${LUA_RUN_SINCE}
local known, outcomes = unpack(redis.call('HMGET', job, 'intents', 'outcomes'))
if outcomes then return {'over'} end
if known then return {'known', known} end
if (redis.call('HGET', roster, 'version:' .. shard) or '0') ~= shard_version then return {'stale'} end
if (redis.call('HGET', halts, 'version') or '0') ~= halts_version then return {'stale'} end
if (redis.call('HGET', layers, 'version') or '0') ~= layers_version then return {'stale'} end
if older == '0' and tonumber(accepted_at) - ${CLOCK_SKEW_MS} <= run_since(run) then return {'older'} end
local wanted = wanted_of(reservations)
local moved = overtaken(usage, wanted)
if #moved > 0 then return {'overtaken', moved} end
local without, taken = crowded(places, tonumber(most_unanswered), orders, now_ms())
if #without > 0 then return {'crowded', without} end
reserve(usage, reserved, wanted)
if #taken > 0 then redis.call('HSET', places, unpack(taken)) end
redis.call('HSET', job, 'intents', intents)
redis.call('PEXPIRE', job, kept_ms)
return {'new'}
`;

export const intend = defineScript<IntendArgs, IntendReply>({
  name: "intend",
  lua: intendLua,
  keys: {
    ...JOB_KEYS,
    roster: ({ partition, job: { signal, broker } }) =>
      new RegionKeys(partition).rosterHead(signal.channel, broker),
    halts: ({ partition }) => new RegionKeys(partition).halts,
    layers: ({ partition }) => new RegionKeys(partition).layers,
    usage: ({ partition, job: { broker } }) => USAGE_KEYS.usage({ partition, broker }),
    reserved: ({ partition, job: { broker } }) => USAGE_KEYS.reserved({ partition, broker }),
    places: ({ partition, job }) => new RegionKeys(partition).places(job.broker),
  },
  args: {
    shard: ({ job }) => job.shard,
    shard_version: ({ shardVersion }) => shardVersion,
    intents: ({ intents }) => JSON.stringify(intents),
    halts_version: ({ haltsVersion }) => haltsVersion,
    reservations: ({ reservations = [] }) => reservationsArg(reservations),
    accepted_at: ({ job }) => job.signal.acceptedAtMs,
    older: ({ older = false }) => (older ? 1 : 0),
    layers_version: ({ layersVersion }) => layersVersion,
    orders: ({ job, intents, ordersPerAccount }) =>
      placesArg(job.signal.id, intents, ordersPerAccount),
    most_unanswered: ({ ordersPerAccount = 0 }) => ordersPerAccount,
    kept_ms: ({ job }) => keptMs(job.signal),
  },
  reply(raw) {
    const [kind, more] = asList(raw);
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    if (kind === "overtaken") return { kind, usages: parseOvertaken(asList(more)) };
    if (kind === "crowded") {
      return { kind, subscriptions: asList(more).map((each) => asText(each) as SubscriptionId) };
    }
    return { kind: kind as Exclude<IntendReply["kind"], "known" | "overtaken" | "crowded"> };
  },
});

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
