/** A follower's wish that a channel be copied into one of their broker accounts. */
import type { AccountId, ChannelId, PersonId, SubscriptionId } from "../ids.ts";
import type { PlanLayer } from "./plan-layer.ts";

export const SUBSCRIPTION_STATES = ["active", "paused", "left"] as const;
export type SubscriptionState = (typeof SUBSCRIPTION_STATES)[number];

export interface Subscription {
  readonly id: SubscriptionId;
  readonly channel: ChannelId;
  readonly follower: PersonId;
  readonly account: AccountId;
  /** The broker, and the region whose workers run beside it. */
  readonly broker: string;
  readonly region: string;
  readonly state: SubscriptionState;
  /** Epoch milliseconds; nothing is copied from then on. */
  readonly expiresAtMs: number;
  /** The follower's own plan; the inherited settings are added when it is projected. */
  readonly plan: PlanLayer;
  /**
   * Counts the changes of this subscription from 1: an older version never overwrites a newer one.
   */
  readonly version: number;
}
