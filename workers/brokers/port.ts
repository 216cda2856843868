/**
 * What the copier needs of a broker. A broker is reached over a network, so
 * every call can go unanswered: that is its own case, never an exception that
 * a caller could mistake for a refusal.
 */
import type { AccountId, ClientOrderId } from "../../domain/ids.ts";
import type { SettlementKind } from "../../domain/contract.ts";
import type { Order } from "../../domain/order.ts";
import type { Outcome } from "../../domain/outcome.ts";
import type { ContractType } from "../../domain/signal.ts";

/** The orders of one shard: all of the same contract, each with an account and a stake of its own. */
export interface OrderBatch {
  readonly symbol: string;
  readonly contract: ContractType;
  readonly durationSeconds: number;
  /** Epoch milliseconds: a broker that can, opens nothing after this. */
  readonly validUntilMs: number;
  readonly orders: readonly Order[];
}

export type BrokerAnswer = Extract<Outcome, { kind: "placed" | "rejected" }>;

export type Answered<T> =
  | { readonly kind: "answered"; readonly answers: T }
  /** No answer, or none that can be trusted: the orders may or may not have been booked. */
  | { readonly kind: "unanswered" };

export type LookUp =
  | BrokerAnswer
  /** The broker is certain that it never opened it and never will. */
  | { readonly kind: "absent" }
  /** Not opened yet, but an open still on its way could be. */
  | { readonly kind: "pending" };

export interface Settlement {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly kind: SettlementKind;
  readonly returnCents: number;
  readonly closePriceMicros: number | null;
  readonly settledAtMs: number;
}

export interface Broker {
  readonly name: string;
  /**
   * Opens each order at most once per client order id, whenever and however
   * often it is sent. Answers in the order of the batch.
   */
  open(batch: OrderBatch): Promise<Answered<readonly BrokerAnswer[]>>;
  /** What became of the orders of a batch, in its order. Asking changes nothing. */
  lookUp(batch: OrderBatch): Promise<Answered<readonly LookUp[]>>;
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
