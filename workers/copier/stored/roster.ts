/**
 * The roster: who follows a channel with which plan, cut into shards of a few
 * hundred, per broker and region partition. Each change raises the roster's
 * version; a row keeps the versions at which its subscription joined and left,
 * so a job that names a version finds exactly those who were there, and
 * nobody is ever moved or deleted from under it: a row goes only once no job
 * can name it, and a shard that has emptied takes newcomers again. Versions are at least the
 * milliseconds of Redis' clock: a roster rebuilt after a loss goes on above the
 * versions that routes elsewhere still name.
 */
import type { Follower } from "../../../domain/copier/decide.ts";
import type { AccountId, PersonId, SubscriptionId } from "../../../domain/ids.ts";
import type { LayeredPlan } from "../../../domain/copier/plan-layer.ts";
import type { SubscriptionState } from "../../../domain/copier/subscription.ts";

/** Large enough to make a job worth its round trips, small enough to read and answer in a few milliseconds. */
export const SHARD_SIZE = 512;

export interface RosterMember extends Follower {
  readonly follower: PersonId;
  /** The subscription's own over the follower's; what stands above those is laid over it by the worker. */
  readonly plan: LayeredPlan;
  readonly subscriptionVersion: number;
  /** Roster versions at which this subscription joined, left, joined again …, ascending. */
  readonly turns: readonly number[];
  /**
   * The row could not be parsed: the member is known by name, and is never sent
   * an order. Without turns it does not say either when they joined and left.
   */
  readonly isUnreadable?: true;
}

/** What a subscription's row holds besides the versions that the script keeps. */
export type RowPayload = readonly [AccountId, SubscriptionState, number, LayeredPlan, PersonId];
type Row = readonly [version: number, turns: readonly number[], payload: RowPayload];

export function parseRosterShard(flat: readonly string[]): RosterMember[] {
  const members: RosterMember[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    members.push(parseRow(flat[index] as SubscriptionId, flat[index + 1] ?? ""));
  }
  return members.sort((a, b) => (a.subscription < b.subscription ? -1 : 1));
}

/** A row that does not parse costs its own follower the copy, and none of the others of the shard. */
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
    // What is wrong with the row is seen by its subscription; its text may hold anything.
    return unreadable(subscription, text);
  }
}

/** Where a row does not say whose account it is of; an outcome names one. */
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

/** Whether a member belongs to the snapshot that a job of this roster version names. */
export function wasSeated(member: RosterMember, version: number): boolean {
  let turns = 0;
  for (const turn of member.turns) if (turn <= version) turns += 1;
  return turns % 2 === 1;
}
