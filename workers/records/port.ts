/**
 * The long-term records: named collections of documents, behind one port with
 * two drivers (MongoDB, SQLite). Every write is idempotent and bulk; nothing
 * needs a transaction over several documents.
 */
import type { Channel } from "../../domain/copier/channel.ts";
import type { Grant } from "../../domain/copier/grant.ts";
import type { PersonId } from "../../domain/ids.ts";
import type { ScopeSettings } from "../../domain/copier/plan-layer.ts";
import type { Subscription } from "../../domain/copier/subscription.ts";
import type { Hook } from "../../domain/copier/hook.ts";

/** A document's `_id` is deterministic, so that writing it again changes nothing. */
export interface Document {
  readonly _id: string;
}

export type Scalar = string | number | boolean | null;

/** Equality on indexed fields, with one value or with any of several. */
export type Where = Readonly<Record<string, Scalar | readonly Scalar[]>>;

export interface Query {
  readonly where?: Where;
  /** An indexed field, or `_id`, which also orders what is equal in the field. */
  readonly sort?: { readonly field: string; readonly descending?: boolean };
  /** Only what comes after this document in that order; `value` is its field, where the sort has one. */
  readonly after?: { readonly id: string; readonly value?: string | number } | undefined;
  readonly limit?: number;
}

/** Where a page by `_id` goes on; undefined at its start. */
export function afterId(id: string | undefined): Query["after"] {
  return id === undefined ? undefined : { id };
}

export interface Grouping<By extends string, Sum extends string, Bounds extends string> {
  readonly where: Where;
  readonly by: readonly By[];
  /** Numeric fields to add up; absent values count as 0. */
  readonly sum?: readonly Sum[];
  /** Numeric fields whose least and greatest value are wanted. */
  readonly bounds?: readonly Bounds[];
}

/** All documents that have the same values in the fields of a grouping. */
export interface Group<By extends string, Sum extends string, Bounds extends string> {
  /** A document without the field has null. */
  readonly key: Readonly<Record<By, Scalar>>;
  readonly count: number;
  readonly sums: Readonly<Record<Sum, number>>;
  /** Null where no document of the group has the field. */
  readonly bounds: Readonly<Record<Bounds, { readonly min: number; readonly max: number } | null>>;
}

/** Some fields of a document. */
export type Part<T extends Document> = Partial<T> & Document;

type Field<T> = keyof T & string;

export interface Collection<T extends Document> {
  /**
   * Inserts or replaces a document only where its `version` is above the stored one's;
   * answers how many were taken. Here as in each of the others, a document that would
   * take another's unique value is left as it was.
   */
  putNewer(documents: readonly (T & { readonly version: number })[]): Promise<number>;
  /** Inserts only if the `_id` is new, and no unique value is taken; answers whether it was. */
  insert(document: T): Promise<boolean>;
  /** Sets the given fields of documents, which are made if absent. The order of merges of different fields does not matter. */
  merge(parts: readonly Part<T>[]): Promise<void>;
  /** Merges only into documents that have no `field` yet, or do not exist yet; all others stay as they are. */
  mergeWhereAbsent(field: Field<T>, parts: readonly Part<T>[]): Promise<void>;
  /** Sets fields of documents that stand at exactly the `version` given; all others stay as they are. */
  mergeAtVersion(parts: readonly (Part<T> & { readonly version: number })[]): Promise<void>;
  get(id: string): Promise<T | undefined>;
  find(query: Query): Promise<T[]>;
  /** Walks all that match in order of `_id`, without holding them in memory. */
  each(where: Where): AsyncIterable<T>;
  group<By extends Field<T> = never, Sum extends Field<T> = never, Bounds extends Field<T> = never>(
    grouping: Grouping<By, Sum, Bounds>,
  ): Promise<Group<By, Sum, Bounds>[]>;
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
  readonly version: number;
  readonly outbox: boolean;
}

/** A broker account: who may have signals copied into it, and where its broker is reached. */
export interface AccountRecord extends Document {
  readonly person: PersonId;
  readonly broker: string;
  readonly region: string;
}

export interface SubscriptionRecord extends Document, Omit<Subscription, "id"> {
  /** Account and channel while it is live, by `deriveLiveKey`; unique. */
  readonly liveKey?: string;
  readonly outbox: boolean;
}

/** What holds for all below a scope, which is its `_id`. */
export interface SettingsRecord extends Document, ScopeSettings {
  readonly version: number;
  readonly outbox: boolean;
}

export interface SignalRecord extends Document {
  readonly channel: string;
  readonly sender: string;
  readonly provider: string;
  /** `close` of one that closes, which has nothing of an order's terms. */
  readonly action?: string;
  /** Absent where the house closed all. */
  readonly symbol?: string;
  readonly contract?: string;
  readonly stakeCents?: number;
  readonly durationSeconds?: number;
  readonly sequence: number;
  readonly acceptedAtMs: number;
  readonly deadlineMs?: number;
  /** Of a close: the signals whose positions it closes, and what it named. */
  readonly closes?: readonly string[];
  readonly signal?: string;
  readonly copies?: readonly object[];
  readonly sha256: string;
  readonly followers: number;
  /** The chain: the hash of the link before, this link's, and the signature of its head where one was made here. */
  readonly previousHash?: string;
  readonly linkHash?: string;
  readonly signature?: string;
}

export interface OrderRecord extends Document {
  readonly signal: string;
  /** Of a close: the order that it closes. */
  readonly closes?: string;
  readonly subscription: string;
  readonly account: string;
  readonly broker: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly stakeCents?: number;
  readonly openPriceMicros?: number;
  readonly openedAtMs?: number;
  readonly expiresAtMs?: number;
  readonly closedAtMs?: number;
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
  readonly accounts: Collection<AccountRecord>;
  readonly subscriptions: Collection<SubscriptionRecord>;
  readonly settings: Collection<SettingsRecord>;
  readonly signals: Collection<SignalRecord>;
  readonly orders: Collection<OrderRecord>;
  close(): Promise<void>;
}

export type CollectionName = Exclude<keyof Records, "close">;

interface Indexes {
  /** Each a list of fields, equalities first. */
  readonly indexed: readonly (readonly string[])[];
  /** A field whose values are unique where present. */
  readonly unique?: string;
  /** Of earlier versions: another takes their place. */
  readonly replaced?: readonly (readonly string[])[];
}

export const INDEXES: Readonly<Record<CollectionName, Indexes>> = {
  people: { indexed: [], unique: "email" },
  channels: { indexed: [["provider"], ["outbox"]] },
  hooks: { indexed: [["outbox"]] },
  accounts: { indexed: [["person"]] },
  subscriptions: {
    indexed: [["channel", "_id"], ["follower"], ["account"], ["outbox"]],
    unique: "liveKey",
  },
  settings: { indexed: [["outbox"]] },
  signals: {
    // With the id, so that a page is read in order and not sorted.
    indexed: [["channel", "acceptedAtMs", "_id"], ["acceptedAtMs"]],
    replaced: [["channel", "acceptedAtMs"]],
  },
  orders: {
    indexed: [
      ["signal", "outcome"],
      ["subscription", "acceptedAtMs"],
    ],
  },
};

export const COLLECTION_NAMES = Object.keys(INDEXES) as CollectionName[];
