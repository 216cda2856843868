/**
 * The long-term records: named collections of documents, behind one port with
 * two drivers (MongoDB, SQLite). Every write is idempotent and bulk; nothing
 * needs a transaction over several documents.
 */
import type { Channel } from "../../domain/copier/channel.ts";
import type { Grant } from "../../domain/copier/grant.ts";
import type { PersonId } from "../../domain/ids.ts";
import type { ScopeSettings } from "../../domain/copier/plan-layer.ts";
import type { Stop } from "../../domain/copier/stop.ts";
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
  /** An indexed field, or `_id`, which also orders documents with equal values. */
  readonly sort?: { readonly field: string; readonly descending?: boolean };
  /** Only documents after this one in that order; `value` is its field, if the sort has one. */
  readonly after?: { readonly id: string; readonly value?: string | number } | undefined;
  readonly limit?: number;
}

/** The document after which a page by `_id` begins; undefined at the start. */
export function afterId(id: string | undefined): Query["after"] {
  return id === undefined ? undefined : { id };
}

export interface Grouping<By extends string, Sum extends string, Bounds extends string> {
  readonly where: Where;
  readonly by: readonly By[];
  /** Numeric fields to add up; absent values count as 0. */
  readonly sum?: readonly Sum[];
  /** Numeric fields whose smallest and largest values are returned. */
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
   * Inserts or replaces a document only if its `version` is above the stored one's; returns how
   * many were written. Here and in all other writes, a document that would take another's unique
   * value is not changed.
   */
  putNewer(documents: readonly (T & { readonly version: number })[]): Promise<number>;
  /** Inserts only if the `_id` is new and no unique value is taken; returns whether it did. */
  insert(document: T): Promise<boolean>;
  /**
   * Sets the given fields of documents, and creates missing documents. The order of merges of
   * different fields does not matter.
   */
  merge(parts: readonly Part<T>[]): Promise<void>;
  /** Merges only into documents that have no `field` yet, or do not exist yet; all others stay as they are. */
  mergeWhereAbsent(field: Field<T>, parts: readonly Part<T>[]): Promise<void>;
  /**
   * Sets fields of documents that have exactly the given `version`; all others stay as they are.
   */
  mergeAtVersion(parts: readonly (Part<T> & { readonly version: number })[]): Promise<void>;
  get(id: string): Promise<T | undefined>;
  find(query: Query): Promise<T[]>;
  /** Reads all matching documents in order of `_id`, without storing them in memory. */
  each(where: Where): AsyncIterable<T>;
  group<By extends Field<T> = never, Sum extends Field<T> = never, Bounds extends Field<T> = never>(
    grouping: Grouping<By, Sum, Bounds>,
  ): Promise<Group<By, Sum, Bounds>[]>;
}

export interface PersonRecord extends Document {
  readonly name: string;
  /** Lower case; unique among people who sign in. Followers of the demo have none. */
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

/** A broker account: who may have signals copied into it, and where its broker is. */
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

/** The settings for everything below a scope. The scope is the `_id`. */
export interface SettingsRecord extends Document, ScopeSettings {
  readonly version: number;
  readonly outbox: boolean;
}

/** The last change of a scope's stop, which Redis had first. The scope is its `_id`. */
export interface StopRecord extends Document, Stop {
  /** Whose, of a follower's; empty of all others. */
  readonly follower: string;
  readonly version: number;
}

export interface SignalRecord extends Document {
  readonly channel: string;
  readonly sender: string;
  readonly provider: string;
  /** `close` for a close, which has none of an order's terms. */
  readonly action?: string;
  /** Absent if the house closed everything. */
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
  /**
   * The chain: the hash of the link before, this link's, and the signature of its head if one was
   * made here.
   */
  readonly previousHash?: string;
  readonly linkHash?: string;
  readonly signature?: string;
  readonly linkedAtMs?: number;
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
  /** P10: the times of each step, in epoch milliseconds. */
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
  readonly stops: Collection<StopRecord>;
  readonly signals: Collection<SignalRecord>;
  readonly orders: Collection<OrderRecord>;
  close(): Promise<void>;
}

export type CollectionName = Exclude<keyof Records, "close">;

interface Indexes {
  /** Each index is a list of fields, those compared for equality first. */
  readonly indexed: readonly (readonly string[])[];
  /** A field whose values are unique where present. */
  readonly unique?: string;
  /** Indexes of earlier versions, which others replace. */
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
  stops: { indexed: [["state", "follower"]] },
  signals: {
    // With the id, so that a page is read in order and needs no sorting.
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
