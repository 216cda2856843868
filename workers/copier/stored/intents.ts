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
import { asList, asText, LUA_NOW, type Script } from "../../../redis/script.ts";
import {
  parseOvertaken,
  reservationsArg,
  RESERVE_LUA,
  usageKeys,
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

export type AbandonReply = Extract<IntendReply, { kind: "new" | "known" | "over" | "older" }>;

const abandonLua = `
${LUA_NOW}
${LUA_RUN_SINCE}
local intents, outcomes = unpack(redis.call('HMGET', KEYS[1], 'intents', 'outcomes'))
if outcomes then return {'over'} end
if intents then return {'known', intents} end
local is_older = tonumber(ARGV[3]) - ${CLOCK_SKEW_MS} <= run_since(KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'intents', is_older and ARGV[4] or ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {is_older and 'older' or 'new'}
`;

/**
 * Takes a job that cannot be worked with out of everyone's hands: from here on
 * no worker sends an order of it for the first time. Replies `known` where one
 * may have been sent already, and `older` where that may have been forgotten.
 */
export const abandon: Script<AbandonArgs, AbandonReply> = {
  name: "abandon",
  lua: abandonLua,
  keys: ({ partition, job: { signal, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [region.job(signal.id, broker, shard), region.run, region.header];
  },
  args: ({ job: { signal }, intents, asked }) => [
    JSON.stringify(intents),
    String(keptMs(signal)),
    String(signal.acceptedAtMs),
    JSON.stringify(asked),
  ],
  reply(raw) {
    const [kind, more] = asList(raw);
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    return { kind: kind as Exclude<AbandonReply["kind"], "known"> };
  },
};

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
  /** This Redis lost its data: its stops, settings and roster are not there yet. */
  | { readonly kind: "unfilled" }
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
local intents, outcomes = unpack(redis.call('HMGET', KEYS[1], 'intents', 'outcomes'))
if outcomes then return {'over'} end
if intents then return {'known', intents} end
if not filled_since(KEYS[9]) then return {'unfilled'} end
if (redis.call('HGET', KEYS[2], 'version:' .. ARGV[1]) or '0') ~= ARGV[2] then return {'stale'} end
if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[4] then return {'stale'} end
if (redis.call('HGET', KEYS[7], 'version') or '0') ~= ARGV[8] then return {'stale'} end
if ARGV[7] == '0' and tonumber(ARGV[6]) - ${CLOCK_SKEW_MS} <= run_since(KEYS[6], KEYS[9]) then return {'older'} end
local wanted = wanted_of(ARGV[5])
local moved = overtaken(KEYS[4], wanted)
if #moved > 0 then return {'overtaken', moved} end
local without, places = crowded(KEYS[8], tonumber(ARGV[10]), ARGV[9], now_ms())
if #without > 0 then return {'crowded', without} end
reserve(KEYS[4], KEYS[5], wanted)
if #places > 0 then redis.call('HSET', KEYS[8], unpack(places)) end
redis.call('HSET', KEYS[1], 'intents', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[11])
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
      region.layers,
      region.places(broker),
      region.header,
    ];
  },
  args: ({
    job: { shard, signal },
    shardVersion,
    haltsVersion,
    layersVersion,
    intents,
    reservations = [],
    ordersPerAccount,
    older = false,
  }) => [
    String(shard),
    String(shardVersion),
    JSON.stringify(intents),
    haltsVersion,
    reservationsArg(reservations),
    String(signal.acceptedAtMs),
    older ? "1" : "0",
    layersVersion,
    placesArg(signal.id, intents, ordersPerAccount),
    String(ordersPerAccount ?? 0),
    String(keptMs(signal)),
  ],
  reply(raw) {
    const [kind, more] = asList(raw);
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    if (kind === "overtaken") return { kind, usages: parseOvertaken(asList(more)) };
    if (kind === "crowded") {
      return { kind, subscriptions: asList(more).map((each) => asText(each) as SubscriptionId) };
    }
    return { kind: kind as Exclude<IntendReply["kind"], "known" | "overtaken" | "crowded"> };
  },
};

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
