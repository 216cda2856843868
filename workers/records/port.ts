/**
 * The long-term records: named collections of documents, behind one port with
 * two drivers (MongoDB, SQLite). Every write is idempotent and bulk; nothing
 * needs a transaction over several documents.
 */
import type { Channel } from "../../domain/channel.ts";
import type { Grant } from "../../domain/grant.ts";
import type { PersonId } from "../../domain/ids.ts";
import type { Subscription } from "../../domain/subscription.ts";
import type { Hook } from "../../redis/hook.ts";

/** A document's `_id` is deterministic, so that writing it again changes nothing. */
export interface Document {
  readonly _id: string;
}

export type Scalar = string | number | boolean | null;

export interface Query {
  /** Equality on indexed fields. */
  readonly where?: Readonly<Record<string, Scalar>>;
  /** An indexed field, or `_id`. */
  readonly sort?: { readonly field: string; readonly descending?: boolean };
  readonly limit?: number;
}

export interface Collection<T extends Document> {
  /** Inserts or replaces whole documents, in bulk. */
  put(documents: readonly T[]): Promise<void>;
  /** Inserts or replaces a document only where its `version` is above the stored one's; answers how many were taken. */
  putNewer(documents: readonly (T & { readonly version: number })[]): Promise<number>;
  /** Inserts only if the `_id` is new; answers whether it was. */
  insert(document: T): Promise<boolean>;
  /** Sets the given fields of documents, which are made if absent. The order of merges of different fields does not matter. */
  merge(parts: readonly (Partial<T> & Document)[]): Promise<void>;
  get(id: string): Promise<T | undefined>;
  find(query: Query): Promise<T[]>;
  /** Walks all that match in order of `_id`, without holding them in memory. */
  each(where: Readonly<Record<string, Scalar>>): AsyncIterable<T>;
  count(where: Readonly<Record<string, Scalar>>): Promise<number>;
  /** How many match, by the value of one field; a document without it counts under `""`. */
  countBy(field: string, where: Readonly<Record<string, Scalar>>): Promise<Map<string, number>>;
  /** The sum of a numeric field over all that match; absent values count as 0. */
  sum(field: string, where: Readonly<Record<string, Scalar>>): Promise<number>;
}

export interface PersonRecord extends Document {
  readonly name: string;
  /** Lower case; unique among those who sign in. Followers of the demo have none. */
  readonly email?: string;
  /** argon2id. */
  readonly passwordHash?: string;
}

export interface ChannelRecord extends Document, Omit<Channel, "id"> {
  readonly grants: Readonly<Record<PersonId, Grant>>;
  /** Changed and not yet projected to Redis: this is the outbox, in the same document as the change. */
  readonly outbox: boolean;
}

export interface HookRecord extends Document {
  readonly hook: Hook;
  readonly outbox: boolean;
}

export interface SubscriptionRecord extends Document, Omit<Subscription, "id"> {
  readonly outbox: boolean;
}

export interface SignalRecord extends Document {
  readonly channel: string;
  readonly sender: string;
  readonly provider: string;
  readonly symbol: string;
  readonly contract: string;
  readonly stakeCents: number;
  readonly durationSeconds: number;
  readonly sequence: number;
  readonly acceptedAtMs: number;
  readonly deadlineMs: number;
  readonly sha256: string;
  readonly followers: number;
  /** The chain: the hash of the link before, this link's, and the signature of its head where one was made here. */
  readonly previousHash?: string;
  readonly linkHash?: string;
  readonly signature?: string;
}

export interface OrderRecord extends Document {
  readonly signal: string;
  readonly subscription: string;
  readonly account: string;
  readonly broker: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly stakeCents?: number;
  readonly openPriceMicros?: number;
  readonly openedAtMs?: number;
  readonly expiresAtMs?: number;
  /** P10: what happened when, epoch milliseconds. */
  readonly acceptedAtMs: number;
  readonly dispatchedAtMs: number;
  readonly decidedAtMs: number;
  readonly sentAtMs?: number;
  readonly answeredAtMs?: number;
  readonly recordedAtMs: number;
  readonly settlement?: string;
  readonly returnCents?: number;
  readonly closePriceMicros?: number | null;
  readonly settledAtMs?: number;
}

export interface Records {
  readonly people: Collection<PersonRecord>;
  readonly channels: Collection<ChannelRecord>;
  readonly hooks: Collection<HookRecord>;
  readonly subscriptions: Collection<SubscriptionRecord>;
  readonly signals: Collection<SignalRecord>;
  readonly orders: Collection<OrderRecord>;
  close(): Promise<void>;
}

/** Which fields of each collection are indexed, and which values are unique (where present). */
export const INDEXES = {
  people: { indexed: ["email"], unique: ["email"] },
  channels: { indexed: ["provider", "outbox"], unique: [] },
  hooks: { indexed: ["outbox"], unique: [] },
  subscriptions: { indexed: ["channel", "follower", "outbox"], unique: [] },
  signals: { indexed: ["channel", "acceptedAtMs"], unique: [] },
  orders: { indexed: ["signal", "subscription", "outcome", "settlement"], unique: [] },
} as const satisfies Record<
  Exclude<keyof Records, "close">,
  { readonly indexed: readonly string[]; readonly unique: readonly string[] }
>;
