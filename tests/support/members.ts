/** Members of a roster's shard as a worker reads them, and the shard itself in a real Redis. */
import { asId, type AccountId, type PersonId, type SubscriptionId } from "../../domain/ids.ts";
import type { Subscription } from "../../domain/copier/subscription.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import type { RosterMember } from "../../workers/copier/stored/roster.ts";
import { followerOf } from "./copier.ts";
import type { ScriptRedis } from "./scripts.ts";

/** Subscribed at version 1, with a fixed stake. */
export function memberOf(name: string, changes: Partial<RosterMember> = {}): RosterMember {
  return {
    subscription: asId<SubscriptionId>(name),
    account: asId<AccountId>(`${name}-acct`),
    follower: asId<PersonId>(`${name}-person`),
    state: "active",
    expiresAtMs: 4_000_000_000_000,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    subscriptionVersion: 1,
    turns: [1],
    ...changes,
  };
}

/**
 * Adds followers of the channel `demo` at the broker `desk` in partition 0; returns the shard's
 * version.
 */
export async function seatFollowers(
  redis: ScriptRedis,
  ...followers: readonly (readonly [index: number, changes?: Partial<Subscription>])[]
): Promise<number> {
  const subscriptions = followers.map(([index, changes]) => followerOf(index, changes));
  const args = { partition: 0, broker: "desk", channel: followerOf(0).channel, subscriptions };
  const { shards } = await redis.run(seat, args);
  return shards[0]?.version ?? 0;
}
