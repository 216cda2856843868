/**
 * What the copier needs of a broker. A broker is reached over a network, so
 * every call can go unanswered: that is its own case, never an exception that
 * a caller could mistake for a refusal.
 */
import type { AccountId, ClientOrderId, SignalId } from "../../../domain/ids.ts";
import type { SettlementKind, ContractType } from "../../../domain/products/binary.ts";
import type { Order } from "../../../domain/copier/order.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";

/**
 * What may be built on when an order goes unanswered. Whoever adds a broker
 * states this from the broker's own documents; where these are silent, the
 * value that promises least is the right one.
 */
export interface Capabilities {
  /**
   * For how long an order sent again under the same client order id is still
   * the same order: never, as long as the first is open, for ten minutes, or
   * for as long as the account exists.
   */
  readonly deduplicates: "none" | "open-orders" | "ten-minutes" | "account";
  /** Whether what a look-up does not find is not on the books; a `hint` proves nothing by silence. */
  readonly lookUp: "authoritative" | "hint";
  /** Whether the broker itself opens nothing after `validUntilMs`. */
  readonly validUntil: "enforced" | "ignored";
  /**
   * How long after its deadline an order of ours may still reach the books:
   * the time limit of a call, and what the network and the broker may hold it
   * back beyond. It matters where valid-until is ignored.
   */
  readonly inFlightMs: number;
  /**
   * How many orders of one account may be unanswered there at once; what comes
   * on top is skipped. Absent where it takes any number.
   */
  readonly ordersPerAccount?: number;
  /**
   * Whether a close sent again under the same close id is still the same close,
   * which sells a position once. Where the broker does not say so, a close that
   * was not answered is only asked about until that is proven to be harmless.
   */
  readonly closes?: "once";
}

/** What is sure of every broker. */
export const LEAST_CAPABLE: Capabilities = {
  deduplicates: "none",
  lookUp: "hint",
  validUntil: "ignored",
  inFlightMs: 30_000,
};

/** The orders of one shard: all of the same contract, each with an account and a stake of its own. */
export interface OrderBatch {
  readonly symbol: string;
  readonly contract: ContractType;
  readonly durationSeconds: number;
  /** Epoch milliseconds: a broker that can, opens nothing after this. */
  readonly validUntilMs: number;
  /** Of the roster: an order is of the same one whenever it is sent. */
  readonly shard: number;
  readonly orders: readonly Order[];
}

/** Positions to be sold back, all in one symbol. */
export interface CloseBatch {
  /** The signal that closes them: the same at every attempt. */
  readonly close: SignalId;
  readonly symbol: string;
  /** As of the batch that opened them. */
  readonly shard: number;
  readonly orders: readonly ClosingOrder[];
}

/** The order that opened the position. */
export type ClosingOrder = Pick<Order, "clientOrderId" | "account" | "stakeCents">;

export type CloseAnswer =
  | Extract<CloseOutcome, { kind: "closed" | "rejected" }>
  /** Never opened, expired, or closed by another: nothing of it is open. */
  | { readonly kind: "not-open" };

export type CloseLookUp =
  | Exclude<CloseAnswer, { kind: "rejected" }>
  /** The position stands open, or is not found there; a close still on its way may be about to sell it. */
  | { readonly kind: "open" };

export type BrokerAnswer = Extract<Outcome, { kind: "placed" | "rejected" }>;

export type Answered<T> =
  | { readonly kind: "answered"; readonly answers: T }
  /** No answer, or none that can be trusted: the orders may or may not have been booked. */
  | { readonly kind: "unanswered" };

export type LookUp =
  | BrokerAnswer
  /** The broker is certain that it never opened it and never will. */
  | { readonly kind: "absent" }
  /** Not on the books, or not found there; an open still on its way could be. */
  | { readonly kind: "pending" };

export interface Settlement {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly kind: SettlementKind;
  readonly returnCents: number;
  readonly closePriceMicros: number | null;
  readonly settledAtMs: number;
}

/** An order as it stands on the broker's own books, whatever became of it since. */
export interface BookedOrder {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  /** Epoch milliseconds of the broker's clock. */
  readonly openedAtMs: number;
  /** What it has come to; absent where the broker does not list that. */
  readonly state?: "open" | SettlementKind;
  /** What sold it back; absent where it was not sold, or where the broker does not list that. */
  readonly soldBy?: SignalId;
}

/** The broker took nothing of the call, for certain, and says when to come again. */
export interface Busy {
  readonly kind: "busy";
  readonly retryAfterMs: number;
}

export interface Broker {
  readonly name: string;
  readonly capabilities: Capabilities;
  /**
   * Opens each order at most once per client order id, as far as
   * `capabilities.deduplicates` goes. Answers in the order of the batch.
   */
  open(batch: OrderBatch): Promise<Answered<readonly BrokerAnswer[]> | Busy>;
  /** What became of the orders of a batch, in its order. Asking changes nothing. */
  lookUp(batch: OrderBatch): Promise<Answered<readonly LookUp[]>>;
  /**
   * Sells positions back at the broker's price. What this very close sold
   * before is answered as sold by it, as far as `capabilities.closes` goes.
   * Answers in the order of the batch.
   */
  close(batch: CloseBatch): Promise<Answered<readonly CloseAnswer[]> | Busy>;
  /** What became of positions that this close may have sold, in the order of the batch. Asking changes nothing. */
  findClosed(batch: CloseBatch): Promise<Answered<readonly CloseLookUp[]>>;
  /**
   * Everything that the broker's own books hold of a signal, whoever sent it:
   * what the copier's outcomes are compared with. An order that was booked
   * twice is listed twice.
   */
  list(signal: SignalId): Promise<Answered<readonly BookedOrder[]>>;
  /** What is free in each account, in their order; null where the broker does not know the account. */
  balances(accounts: readonly AccountId[]): Promise<Answered<readonly (number | null)[]>>;
  /** What a win pays on top of its stake, in basis points, symbol by symbol; null where it is not traded. */
  payoutsBp(symbols: readonly string[]): Promise<Answered<readonly (number | null)[]>>;
  /**
   * Settlements after a cursor of the broker's own (`""` is the beginning), at
   * most a few thousand; waits a few seconds for the first, or until `stop`.
   */
  settlements(
    after: string,
    stop: AbortSignal,
  ): Promise<Answered<{ readonly next: string; readonly settlements: readonly Settlement[] }>>;
}
