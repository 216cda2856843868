/**
 * The intents of a job: what was decided for a shard, written in one step on
 * the region partition before anything of it is sent. A worker that finds them
 * there knows that its orders may have been sent.
 */
import {
  clientOrderId,
  type AccountId,
  type PersonId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import type { OrderTerms } from "../../../domain/copier/order.ts";
import type { SkipReason } from "../../../domain/copier/outcome.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import { keptMs } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Job } from "../../../redis/job.ts";
import { parseHalts, type Halts } from "./halt.ts";
import { layerFields, parseLayers, type Layers } from "./layers.ts";
import { placesArg, TAKE_PLACES_LUA } from "./places.ts";
import { CLOCK_SKEW_MS, LUA_RUN_SINCE } from "./run.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";
import { parseOvertaken, reservationsArg, RESERVE_LUA, USAGE_KEYS } from "./caps.ts";

/** What was decided for each copy that a job counts. */
export interface Decided {
  readonly decidedAtMs: number;
  readonly copies: readonly Copy[];
}

/** An order's terms are there only where something of them is not as the signal says, or needs care. */
export type IntendedOrder = readonly [
  SubscriptionId,
  AccountId,
  stakeCents: number,
  terms?: OrderTerms & {
    /** It counts in a usage. */
    readonly reserved?: true;
    /** It may have been sent, and must not be now; skipped for this where it was never opened. */
    readonly askOnly?: SkipReason;
  },
];

/** `Decided` as it is stored. */
export interface Intents {
  readonly decidedAtMs: number;
  readonly orders: readonly IntendedOrder[];
  readonly skips: readonly (readonly [SubscriptionId, AccountId, SkipReason])[];
}

export function packIntents({ decidedAtMs, copies }: Decided): Intents {
  const orders: IntendedOrder[] = [];
  const skips: Intents["skips"][number][] = [];
  for (const copy of copies) {
    if (copy.state !== "skipped") orders.push(packOrder(copy));
    else if (copy.reason) skips.push([copy.subscription, copy.account, copy.reason]);
  }
  return { decidedAtMs, orders, skips };
}

function packOrder(copy: Copy): IntendedOrder {
  const { subscription, account, stakeCents, terms, isReserved } = copy;
  const askOnly = copy.state === "ask-only" ? copy.reason : undefined;
  // Most copies: nothing but the order.
  if (!terms && !isReserved && askOnly === undefined) return [subscription, account, stakeCents];
  const care = { ...(isReserved ? { reserved: true as const } : {}), ...(askOnly && { askOnly }) };
  return [subscription, account, stakeCents, { ...terms, ...care }];
}

/** Reads intents of before: each order of them may have been sent. Followers are found by their subscriptions. */
export function readCopies(
  { signal }: Pick<Job, "signal">,
  { orders, skips }: Intents,
  followers?: ReadonlyMap<SubscriptionId, PersonId>,
): Copy[] {
  const copies = orders.map(([subscription, account, stakeCents, stored]): Copy => {
    const { reserved, askOnly, ...terms } = stored ?? {};
    return {
      clientOrderId: clientOrderId(signal.id, subscription),
      subscription,
      account,
      stakeCents,
      follower: followers?.get(subscription),
      terms: Object.keys(terms).length > 0 ? terms : undefined,
      isReserved: reserved === true,
      reservation: undefined,
      state: askOnly === undefined ? "maybe-sent" : "ask-only",
      reason: askOnly,
      outcome: undefined,
    };
  });
  for (const [subscription, account, reason] of skips) {
    copies.push({
      clientOrderId: clientOrderId(signal.id, subscription),
      subscription,
      account,
      stakeCents: 0,
      follower: followers?.get(subscription),
      terms: undefined,
      isReserved: false,
      reservation: undefined,
      state: "skipped",
      reason,
      outcome: { kind: "skipped", reason },
    });
  }
  return copies;
}

export interface AbandonArgs {
  readonly partition: number;
  readonly job: Job;
  /** What is written where nothing was: no order of it leaves. */
  readonly skipped: Decided;
  /** What is written where that may have been forgotten: the broker is asked about each. */
  readonly asked: Decided;
}

export type AbandonReply = Extract<IntendReply, { kind: "new" | "known" | "over" | "older" }>;

interface OfJob {
  readonly partition: number;
  readonly job: Job;
}

const JOB_KEYS = {
  job: ({ partition, job: { signal, broker, shard } }: OfJob) =>
    new RegionKeys(partition).job(signal.id, broker, shard),
  run: ({ partition }: OfJob) => new RegionKeys(partition).run,
  header: ({ partition }: OfJob) => new RegionKeys(partition).header,
};

const abandonLua = `
${LUA_NOW}
${LUA_RUN_SINCE}
local intents, outcomes = unpack(redis.call('HMGET', job, 'intents', 'outcomes'))
if outcomes then return {'over'} end
if intents then return {'known', intents} end
local is_older = tonumber(accepted_at) - ${CLOCK_SKEW_MS} <= run_since(run, header)
redis.call('HSET', job, 'intents', is_older and asked or skipped)
redis.call('PEXPIRE', job, kept_ms)
return {is_older and 'older' or 'new'}
`;

/**
 * Ends a job that cannot be worked with: from here on no worker sends an order
 * of it for the first time. Replies `known` where one
 * may have been sent already, and `older` where that may have been forgotten.
 */
export const abandon = defineScript<AbandonArgs, AbandonReply>({
  name: "abandon",
  lua: abandonLua,
  keys: JOB_KEYS,
  args: {
    skipped: ({ skipped }) => JSON.stringify(packIntents(skipped)),
    asked: ({ asked }) => JSON.stringify(packIntents(asked)),
    accepted_at: ({ job }) => job.signal.acceptedAtMs,
    kept_ms: ({ job }) => keptMs(job.signal),
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
  /** How often in a row it was stale; from the third time on it was decided on what that reply brought. */
  readonly stales?: number;
  /** Scopes of which none may be stopped for the orders to leave; compared where it was stale three times. */
  readonly unstopped?: readonly Scope[];
  readonly decided: Decided;
  /** How many orders of one account may be unanswered at once; absent where the broker does not care. */
  readonly ordersPerAccount?: number | undefined;
  /** Whether it was decided as of the acceptance, because the script had replied `older`. */
  readonly older?: boolean;
}

export type IntendReply =
  /** Written: this worker may send, and no other will. */
  | { readonly kind: "new" }
  /** The job was here before: its orders may have been sent. */
  | { readonly kind: "known"; readonly intents: Intents }
  /** Its outcomes are written already. */
  | { readonly kind: "over" }
  /**
   * The shard, the stops or the job's layers changed since they were read. The
   * third time it comes with what stands now, and what is decided on that is
   * written, however often any of it changes: only a stop of what would leave
   * is compared again.
   */
  | { readonly kind: "stale"; readonly now?: StandingNow }
  /** These followers' usage changed since it was read, and is this now. */
  | { readonly kind: "overtaken"; readonly usages: ReadonlyMap<SubscriptionId, string> }
  /** The accounts of these have as many orders unanswered as the broker takes. */
  | { readonly kind: "at-capacity"; readonly subscriptions: readonly SubscriptionId[] }
  /** This Redis lost its data: its stops, settings and roster are not there yet. */
  | { readonly kind: "unfilled" }
  /**
   * The signal is older than this Redis' run, so intents may have been written
   * that were lost with the run before: to be decided as of the acceptance, and
   * taken as maybe sent.
   */
  | { readonly kind: "older" };

/** What a job is decided on, read in one step. */
export interface StandingNow {
  readonly shardVersion: number;
  /** The shard's rows: subscription, row, subscription, row …. */
  readonly rows: readonly string[];
  readonly halts: Halts;
  readonly layers: Layers;
}

const STALE_AT_MOST = 3;

const intendLua = `
${RESERVE_LUA}
${TAKE_PLACES_LUA}
${LUA_NOW}
${LUA_RUN_SINCE}
local known, outcomes = unpack(redis.call('HMGET', job, 'intents', 'outcomes'))
if outcomes then return {'over'} end
if known then return {'known', known} end
if not filled_since(header) then return {'unfilled'} end
local times_stale = tonumber(stales)
local version_now = redis.call('HGET', roster, 'version:' .. shard) or '0'
local layers_now = redis.call('HMGET', layers, unpack(ARGV, rest))
local function is_stale()
  if times_stale < ${STALE_AT_MOST} then
    for i = 1, #layers_now do layers_now[i] = layers_now[i] or '' end
    return version_now ~= shard_version
      or (redis.call('HGET', halts, 'version') or '0') ~= halts_version
      or table.concat(layers_now, '\\n') ~= layers_version
  end
  if unstopped == '[]' then return false end
  local scopes = cjson.decode(unstopped)
  local states = redis.call('HMGET', halts, unpack(scopes))
  for i = 1, #scopes do if states[i] then return true end end
  return false
end
if is_stale() then
  if times_stale + 1 < ${STALE_AT_MOST} then return {'stale'} end
  return {'stale', version_now, redis.call('HGETALL', rows), redis.call('HGETALL', halts), layers_now}
end
if older == '0' and tonumber(accepted_at) - ${CLOCK_SKEW_MS} <= run_since(run, header) then return {'older'} end
local wanted = wanted_of(reservations)
local moved = overtaken(usage, wanted)
if #moved > 0 then return {'overtaken', moved} end
local without, taken = at_capacity(places, tonumber(most_unanswered), orders, now_ms())
if #without > 0 then return {'at-capacity', without} end
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
    rows: ({ partition, job: { signal, broker, shard } }) =>
      new RegionKeys(partition).rosterShard(signal.channel, broker, shard),
    halts: ({ partition }) => new RegionKeys(partition).halts,
    layers: ({ partition }) => new RegionKeys(partition).layers,
    usage: ({ partition, job: { broker } }) => USAGE_KEYS.usage({ partition, broker }),
    reserved: ({ partition, job: { broker } }) => USAGE_KEYS.reserved({ partition, broker }),
    places: ({ partition, job }) => new RegionKeys(partition).places(job.broker),
  },
  args: {
    shard: ({ job }) => job.shard,
    shard_version: ({ shardVersion }) => shardVersion,
    intents: ({ decided }) => JSON.stringify(packIntents(decided)),
    halts_version: ({ haltsVersion }) => haltsVersion,
    reservations: ({ decided }) => reservationsArg(decided.copies),
    accepted_at: ({ job }) => job.signal.acceptedAtMs,
    older: ({ older = false }) => (older ? 1 : 0),
    layers_version: ({ layersVersion }) => layersVersion,
    orders: ({ decided, ordersPerAccount }) => placesArg(decided.copies, ordersPerAccount),
    most_unanswered: ({ ordersPerAccount = 0 }) => ordersPerAccount,
    kept_ms: ({ job }) => keptMs(job.signal),
    stales: ({ stales = 0 }) => stales,
    unstopped: ({ unstopped = [] }) => JSON.stringify(unstopped),
  },
  rest: ({ job }) => layerFields(job.signal),
  reply(raw) {
    const [kind, more, ...rest] = asList(raw);
    if (kind === "stale")
      return more === undefined ? { kind } : { kind, now: parseNow(more, rest) };
    if (kind === "known") return { kind, intents: JSON.parse(asText(more)) as Intents };
    if (kind === "overtaken") return { kind, usages: parseOvertaken(asList(more)) };
    if (kind === "at-capacity") {
      return { kind, subscriptions: asList(more).map((each) => asText(each) as SubscriptionId) };
    }
    return {
      kind: kind as Exclude<IntendReply["kind"], "stale" | "known" | "overtaken" | "at-capacity">,
    };
  },
});

function parseNow(shardVersion: unknown, [rows, halts, layers]: readonly unknown[]): StandingNow {
  const flat = asList(halts).map(asText);
  const pairs = flat.flatMap((field, index) =>
    index % 2 === 0 ? [[field, flat[index + 1] ?? ""] as const] : [],
  );
  return {
    shardVersion: asInteger(shardVersion),
    rows: asList(rows).map(asText),
    halts: parseHalts(Object.fromEntries(pairs)),
    layers: parseLayers(asList(layers).map((each) => (each === "" ? null : each))),
  };
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
