/** An order: one follower's copy of a signal, ready to be sent to a broker. */
import type { AccountId, ClientOrderId, SubscriptionId } from "../ids.ts";
import type { ContractType } from "../products/binary.ts";

export interface Order {
  readonly clientOrderId: ClientOrderId;
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly stakeCents: number;
}

/** What of an order is not as the signal says, by its follower's plan. */
export interface OrderTerms {
  readonly symbol?: string;
  readonly contract?: ContractType;
  /** Epoch milliseconds, before the signal's deadline. */
  readonly validUntilMs?: number;
}
