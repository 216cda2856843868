/**
 * The roster: who follows a channel with which plan, in shards of a few hundred,
 * for each broker and region partition. Each change raises the roster's version. A
 * row stores the versions at which its subscription joined and left, so a job that
 * names a version finds exactly the members of that time. No member is moved or
 * deleted while a job can name them: a row is deleted only once no job can name
 * it, and an emptied shard takes new members again. Versions are at least the
 * milliseconds of Redis' clock, so a roster that is rebuilt after a loss continues
 * above the versions that routes elsewhere still name.
 */
import type { Follower } from "../../../domain/copier/decide.ts";
import type { AccountId, PersonId, SubscriptionId } from "../../../domain/ids.ts";
import type { LayeredPlan } from "../../../domain/copier/plan-layer.ts";
import type { SubscriptionState } from "../../../domain/copier/subscription.ts";

/**
 * Large enough to be worth a job's round trips, and small enough to be read and
 * answered in a few milliseconds.
 */
export const SHARD_SIZE = 512;

export interface RosterMember extends Follower {
  readonly follower: PersonId;
  /** The subscription's plan over the follower's. The worker puts it over the policies above. */
  readonly plan: LayeredPlan;
  readonly subscriptionVersion: number;
  /** Roster versions at which this subscription joined, left, joined again …, ascending. */
  readonly turns: readonly number[];
  /**
   * The row could not be parsed. Only the member's subscription is known, and no
   * order is ever sent for it. Without `turns` the row does not say either when they
   * joined and left.
   */
  readonly isUnreadable?: true;
}

/** The data of a subscription's row, without the versions that the script adds. */
export type RowPayload = readonly [AccountId, SubscriptionState, number, LayeredPlan, PersonId];
type Row = readonly [version: number, turns: readonly number[], payload: RowPayload];

export function parseRosterShard(flat: readonly string[]): RosterMember[] {
  const members: RosterMember[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    members.push(parseRow(flat[index] as SubscriptionId, flat[index + 1] ?? ""));
  }
  return members.sort((a, b) => (a.subscription < b.subscription ? -1 : 1));
}

/**
 * If a row does not parse, only its own follower gets no copy. The others of the
 * shard are not affected.
 */
function parseRow(subscription: SubscriptionId, text: string): RosterMember {
  try {
    const [subscriptionVersion, turns, payload] = JSON.parse(text) as Row;
    const [account, state, expiresAtMs, plan, follower] = payload;
    const isRow = Array.isArray(turns) && typeof account === "string" && isObject(plan);
    if (!isRow || typeof expiresAtMs !== "number") return unreadable(subscription, text);
    return {
      subscription,
      account,
      follower,
      state,
      expiresAtMs,
      plan,
      subscriptionVersion,
      turns,
    };
  } catch {
    // The subscription is enough to find the fault. The row's text may contain anything, so it is
    // not logged.
    return unreadable(subscription, text);
  }
}

/** Used if a row does not show the account, because an outcome names one. */
const NO_ACCOUNT = "unreadable";

function unreadable(subscription: SubscriptionId, text: string): RosterMember {
  const [, version = "0", turns = ""] = /^\[(\d+),\[([\d,]+)\],/.exec(text) ?? [];
  const [, account = NO_ACCOUNT] =
    /\["([A-Za-z0-9_-]{1,64})","(?:active|paused|left)"/.exec(text) ?? [];
  return {
    subscription,
    account: account as AccountId,
    follower: "" as PersonId,
    state: "active",
    expiresAtMs: 0,
    plan: {},
    subscriptionVersion: Number(version),
    turns: turns === "" ? [] : turns.split(",").map(Number),
    isUnreadable: true,
  };
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a member belongs to the snapshot of a job with this roster version. */
export function wasSeated(member: RosterMember, version: number): boolean {
  let turns = 0;
  for (const turn of member.turns) if (turn <= version) turns += 1;
  return turns % 2 === 1;
}
