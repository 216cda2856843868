/**
 * What a region's `events` streams carry, packed: one entry a shard, not one a
 * follower. Each entry has one field, `event`, with one of these as JSON.
 */
import type { SettlementKind } from "../domain/contract.ts";
import type { AccountId, ClientOrderId, SignalId, SubscriptionId } from "../domain/ids.ts";
import type { Outcome } from "../domain/outcome.ts";

/** How the copies of one shard ended, or, for those that were `unknown` before, how they did end. */
export interface OutcomesEvent {
  readonly kind: "outcomes";
  readonly signal: SignalId;
  readonly broker: string;
  readonly shard: number;
  /** P10, epoch milliseconds. */
  readonly acceptedAtMs: number;
  readonly dispatchedAtMs: number;
  readonly decidedAtMs: number;
  /** Null where nothing was sent. */
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
  readonly copies: readonly CopyOutcome[];
}

export type CopyOutcome = readonly [SubscriptionId, AccountId, Outcome];

export interface SettlementsEvent {
  readonly kind: "settlements";
  readonly broker: string;
  readonly settlements: readonly {
    readonly clientOrderId: ClientOrderId;
    readonly kind: SettlementKind;
    readonly returnCents: number;
    readonly closePriceMicros: number | null;
    readonly settledAtMs: number;
  }[];
}

export type RegionEvent = OutcomesEvent | SettlementsEvent;

/** What a `links` entry carries in its one field `link`, as JSON. */
export interface ChainLink {
  readonly signal: SignalId;
  readonly channel: string;
  readonly sequence: number;
  /** Hex SHA-256 of the link before; 64 zeros for the first. */
  readonly previousHash: string;
  /** Hex SHA-256 of `previousHash`, sequence, signal id, acceptance time and body hash, each on a line. */
  readonly linkHash: string;
  /** Compact JWS (EdDSA) of `linkHash`, on the last link of each batch: a signed head proves all before it. */
  readonly signature?: string;
}
