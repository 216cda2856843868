/** An order: one follower's copy of a signal, ready to be sent to a broker. */
import type { AccountId, ClientOrderId, SubscriptionId } from "./ids.ts";

export interface Order {
  readonly clientOrderId: ClientOrderId;
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly stakeCents: number;
}
