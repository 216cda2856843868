/**
 * What the copier needs from a broker. A broker is called over a network, so every
 * call can go unanswered. That is a separate result, never an exception that a
 * caller could mistake for a refusal.
 */
import type { AccountId, ClientOrderId, SignalId } from "../../../domain/ids.ts";
import type { SettlementKind, ContractType } from "../../../domain/products/binary.ts";
import type { Order } from "../../../domain/copier/order.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";

/**
 * What a broker guarantees for an order without an answer. The person who adds a
 * broker states this from the broker's own documents. If these do not say, use the
 * value that promises least.
 */
export interface Capabilities {
  /**
   * For how long an order that is sent again under the same client order id is still
   * the same order: never, while the first is open, for ten minutes, or for as long
   * as the account exists.
   */
  readonly deduplicates: "none" | "open-orders" | "ten-minutes" | "account";
  /**
   * Whether an order that a look-up does not find is certainly not on the books. If
   * it is a `hint`, not finding it proves nothing.
   */
  readonly lookUp: "authoritative" | "hint";
  /** Whether the broker itself opens nothing after `validUntilMs`. */
  readonly validUntil: "enforced" | "ignored";
  /**
   * How long after its deadline an order of ours may still be booked: the time limit
   * of a call, and any further delay by the network and the broker. It matters if
   * valid-until is ignored.
   */
  readonly inFlightMs: number;
  /**
   * How many orders of one account may be unanswered there at once. Further orders
   * are skipped. Absent if the broker takes any number.
   */
  readonly ordersPerAccount?: number;
  /**
   * Whether a close that is sent again under the same close id is still the same
   * close and sells a position once. If the broker does not guarantee this, an
   * unanswered close is only asked about until a repetition is proven to be
   * harmless.
   */
  readonly closes?: "once";
}

/** What every broker guarantees. */
export const LEAST_CAPABLE: Capabilities = {
  deduplicates: "none",
  lookUp: "hint",
  validUntil: "ignored",
  inFlightMs: 30_000,
};

/**
 * The orders of one shard. All are for the same contract, and each has its own
 * account and stake.
 */
export interface OrderBatch {
  readonly symbol: string;
  readonly contract: ContractType;
  readonly durationSeconds: number;
  /** Epoch milliseconds. A broker that can opens nothing after this. */
  readonly validUntilMs: number;
  /** The shard of the roster. It is the same at every attempt of an order. */
  readonly shard: number;
  readonly orders: readonly Order[];
}

/** Positions to be sold back, all in one symbol. */
export interface CloseBatch {
  /** The signal that closes them: the same at every attempt. */
  readonly close: SignalId;
  readonly symbol: string;
  /** The shard of the batch that opened them. */
  readonly shard: number;
  readonly orders: readonly ClosingOrder[];
}

/** The order that opened the position. */
export type ClosingOrder = Pick<Order, "clientOrderId" | "account" | "stakeCents">;

export type CloseAnswer =
  | Extract<CloseOutcome, { kind: "closed" | "rejected" }>
  /** Never opened, expired, or closed by another close: nothing of it is open. */
  | { readonly kind: "not-open" };

export type CloseLookUp =
  | Exclude<CloseAnswer, { kind: "rejected" }>
  /**
   * The position is open, or is not found there. A close that is still in flight may
   * be about to sell it.
   */
  | { readonly kind: "open" };

export type BrokerAnswer = Extract<Outcome, { kind: "placed" | "rejected" }>;

export type Answered<T> =
  | { readonly kind: "answered"; readonly answers: T }
  /** No answer, or none that can be trusted: the orders may have been booked or not. */
  | { readonly kind: "unanswered" };

export type LookUp =
  | BrokerAnswer
  /** The broker is certain that it never opened it and never will. */
  | { readonly kind: "absent" }
  /** Not on the books, or not found there. An open that is still in flight may yet be booked. */
  | { readonly kind: "pending" };

export interface Settlement {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly kind: SettlementKind;
  readonly returnCents: number;
  readonly closePriceMicros: number | null;
  readonly settledAtMs: number;
}

/** An order on the broker's own books, in any state. */
export interface BookedOrder {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  /** Epoch milliseconds of the broker's clock. */
  readonly openedAtMs: number;
  /** Its current state; absent if the broker does not list that. */
  readonly state?: "open" | SettlementKind;
  /**
   * The close that sold it back; absent if it was not sold, or if the broker does
   * not list that.
   */
  readonly soldBy?: SignalId;
}

/** The broker certainly took nothing of the call, and says when to retry. */
export interface Busy {
  readonly kind: "busy";
  readonly retryAfterMs: number;
}

export interface Broker {
  readonly name: string;
  readonly capabilities: Capabilities;
  /**
   * Opens each order at most once for each client order id, within the limits of
   * `capabilities.deduplicates`. Answers in the order of the batch.
   */
  open(batch: OrderBatch): Promise<Answered<readonly BrokerAnswer[]> | Busy>;
  /** Looks up the orders of a batch, and answers in its order. It changes nothing. */
  lookUp(batch: OrderBatch): Promise<Answered<readonly LookUp[]>>;
  /**
   * Sells positions back at the broker's price. A position that this same close sold
   * before is answered as sold by it, within the limits of `capabilities.closes`.
   * Answers in the order of the batch.
   */
  close(batch: CloseBatch): Promise<Answered<readonly CloseAnswer[]> | Busy>;
  /**
   * Looks up positions that this close may have sold, and answers in the order of
   * the batch. It changes nothing.
   */
  findClosed(batch: CloseBatch): Promise<Answered<readonly CloseLookUp[]>>;
  /**
   * Lists every order of a signal on the broker's own books, from any sender. The
   * copier's outcomes are compared with this list. An order that was booked twice is
   * listed twice.
   */
  list(signal: SignalId): Promise<Answered<readonly BookedOrder[]>>;
  /**
   * The free balance of each account, in their order; null if the broker does not
   * know the account.
   */
  balances(accounts: readonly AccountId[]): Promise<Answered<readonly (number | null)[]>>;
  /**
   * What a win pays on top of its stake, in basis points, for each symbol; null if
   * it is not traded.
   */
  payoutsBp(symbols: readonly string[]): Promise<Answered<readonly (number | null)[]>>;
  /**
   * Settlements after the broker's own cursor (`""` is the beginning), at most a few
   * thousand. Waits a few seconds for the first one, or until `stop`.
   */
  settlements(
    after: string,
    stop: AbortSignal,
  ): Promise<Answered<{ readonly next: string; readonly settlements: readonly Settlement[] }>>;
}
