/**
 * The intents of a job: the decisions for a shard, written in one step on the
 * region partition before any order is sent. A worker that finds them there knows
 * that the orders may have been sent.
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

/** The decision for each copy that a job counts. */
export interface Decided {
  readonly decidedAtMs: number;
  readonly copies: readonly Copy[];
}

/** An order has terms here only if they differ from the signal, or if it needs care. */
export type IntendedOrder = readonly [
  SubscriptionId,
  AccountId,
  stakeCents: number,
  terms?: OrderTerms & {
    /** It uses a part of its follower's caps. */
    readonly reserved?: true;
    /**
     * It may have been sent, and must not be sent now. If it was never opened, it is
     * skipped for this reason.
     */
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
  // Most copies need only the order.
  if (!terms && !isReserved && askOnly === undefined) return [subscription, account, stakeCents];
  const care = { ...(isReserved ? { reserved: true as const } : {}), ...(askOnly && { askOnly }) };
  return [subscription, account, stakeCents, { ...terms, ...care }];
}

/**
 * Reads stored intents: each of their orders may have been sent. Followers are
 * found by their subscriptions.
 */
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
  /** Written if there were no intents: no order is sent. */
  readonly skipped: Decided;
  /** Written if the intents may have been lost: the broker is asked about each order. */
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
 * Ends a job that cannot be handled: from here on no worker sends one of its
 * orders for the first time. Replies `known` if orders may have been sent already,
 * and `older` if their intents may have been lost.
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
  /** The version of the shard at the decision. */
  readonly shardVersion: number;
  /** The version of the halts at the decision. */
  readonly haltsVersion: string;
  /** The version of the policies at the decision. */
  readonly layersVersion: string;
  /**
   * How many times in a row it was stale. From the third time on, the decision uses
   * the state in that reply.
   */
  readonly stales?: number;
  /**
   * The orders are sent only if none of these scopes is stopped. Compared after the
   * third stale reply.
   */
  readonly unstopped?: readonly Scope[];
  readonly decided: Decided;
  /**
   * How many orders of one account may be unanswered at once; absent if the broker
   * has no limit.
   */
  readonly ordersPerAccount?: number | undefined;
  /** Whether the decision is as of the acceptance, because the script replied `older`. */
  readonly older?: boolean;
}

export type IntendReply =
  /** Written: only this worker may send. */
  | { readonly kind: "new" }
  /** The job was handled before: its orders may have been sent. */
  | { readonly kind: "known"; readonly intents: Intents }
  /** Its outcomes are already written. */
  | { readonly kind: "over" }
  /**
   * The shard, the stops or the job's policies changed since they were read. The
   * third time, the reply has the current state, and a decision on that is written
   * however many times they change again. Only stops of orders that would be sent
   * are compared once more.
   */
  | { readonly kind: "stale"; readonly now?: StandingNow }
  /** The usage of these followers changed since it was read; this is the current one. */
  | { readonly kind: "overtaken"; readonly usages: ReadonlyMap<SubscriptionId, string> }
  /** The accounts of these have as many unanswered orders as the broker takes. */
  | { readonly kind: "at-capacity"; readonly subscriptions: readonly SubscriptionId[] }
  /** This Redis lost its data: its stops, settings and roster are not back yet. */
  | { readonly kind: "unfilled" }
  /**
   * The signal is older than this Redis' run, so its intents may have been lost with
   * the run before. The job is decided as of the acceptance, and its orders count as
   * maybe sent.
   */
  | { readonly kind: "older" };

/** The current state for a decision, read in one step. */
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
  /** The subscriptions that are still unknown. */
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
