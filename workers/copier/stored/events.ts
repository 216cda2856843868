/**
 * The entries of a region's `events` streams, packed: one entry for each shard,
 * not for each follower. Each entry has one field, `event`, with one of these as
 * JSON; outcomes are packed by `packOutcomes`.
 */
import type { SettlementKind } from "../../../domain/products/binary.ts";
import type { AccountId, ClientOrderId, SignalId, SubscriptionId } from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";

/** P10, epoch milliseconds. */
interface Times {
  readonly acceptedAtMs: number;
  readonly dispatchedAtMs: number;
  readonly decidedAtMs: number;
  /** Null if nothing was sent. */
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
}

/** How the copies of one shard ended, or how those that were `unknown` before did end. */
export interface OutcomesEvent extends Times {
  readonly kind: "outcomes";
  readonly signal: SignalId;
  readonly broker: string;
  readonly shard: number;
  readonly copies: readonly CopyOutcome[];
}

export type CopyOutcome = readonly [SubscriptionId, AccountId, Outcome];

/**
 * Copies that were placed on the same terms: the terms once, then the values that
 * differ, one copy after the other.
 */
export type PlacedTogether = readonly [
  openPriceMicros: number,
  openedAtMs: number,
  expiresAtMs: number,
  copies: readonly (SubscriptionId | AccountId | number)[],
];

export type Ended = Pick<Copy, "subscription" | "account" | "outcome">;

/** Outcomes as written in an entry: `copies` has only those that are not in `placed`. */
export type PackedOutcomes = OutcomesEvent & { readonly placed?: readonly PlacedTogether[] };

/**
 * Packs the copies that have ended. The others are not part of the event. The
 * orders of a shard open in one call, so nearly all of their data are the same and
 * are written once.
 */
export function packOutcomes(
  head: Omit<OutcomesEvent, "copies">,
  ended: readonly Ended[],
): PackedOutcomes {
  const copies: CopyOutcome[] = [];
  const placed: [number, number, number, (SubscriptionId | AccountId | number)[]][] = [];
  for (const { subscription, account, outcome } of ended) {
    if (!outcome) continue;
    if (outcome.kind !== "placed") {
      copies.push([subscription, account, outcome]);
      continue;
    }
    const { stakeCents, openPriceMicros, openedAtMs, expiresAtMs } = outcome;
    let group = placed.at(-1);
    if (group?.[0] !== openPriceMicros || group[1] !== openedAtMs || group[2] !== expiresAtMs) {
      group = [openPriceMicros, openedAtMs, expiresAtMs, []];
      placed.push(group);
    }
    group[3].push(subscription, account, stakeCents);
  }
  return { ...head, copies, placed };
}

export function unpackOutcomes({ placed = [], ...event }: PackedOutcomes): OutcomesEvent {
  const copies = [...event.copies];
  for (const [openPriceMicros, openedAtMs, expiresAtMs, flat] of placed) {
    for (let index = 0; index + 2 < flat.length; index += 3) {
      const stakeCents = Number(flat[index + 2]);
      copies.push([
        flat[index] as SubscriptionId,
        flat[index + 1] as AccountId,
        { kind: "placed", stakeCents, openPriceMicros, openedAtMs, expiresAtMs },
      ]);
    }
  }
  return { ...event, copies };
}

/** How the closes of some copies of one shard ended. One shard may have several of these events. */
export interface ClosuresEvent extends Times {
  readonly kind: "closures";
  /** The close. */
  readonly signal: SignalId;
  /** The signal whose positions it closes. */
  readonly of: SignalId;
  readonly broker: string;
  readonly shard: number;
  readonly copies: readonly CopyClosure[];
}

export type CopyClosure = readonly [SubscriptionId, AccountId, CloseOutcome];

/**
 * Copies that were closed on the same terms: the terms once, then the values that
 * differ, one copy after the other.
 */
export type ClosedTogether = readonly [
  closePriceMicros: number,
  closedAtMs: number,
  copies: readonly (SubscriptionId | AccountId | number)[],
];

/** Closures as written in an entry: `copies` has only those that are not in `closed`. */
export type PackedClosures = ClosuresEvent & { readonly closed?: readonly ClosedTogether[] };

export function packClosures(event: ClosuresEvent): PackedClosures {
  const copies: CopyClosure[] = [];
  const closed: [number, number, (SubscriptionId | AccountId | number)[]][] = [];
  for (const copy of event.copies) {
    const [subscription, account, outcome] = copy;
    if (outcome.kind !== "closed") {
      copies.push(copy);
      continue;
    }
    const { stakeCents, returnCents, closePriceMicros, closedAtMs } = outcome;
    let group = closed.at(-1);
    if (group?.[0] !== closePriceMicros || group[1] !== closedAtMs) {
      group = [closePriceMicros, closedAtMs, []];
      closed.push(group);
    }
    group[2].push(subscription, account, stakeCents, returnCents);
  }
  return { ...event, copies, closed };
}

export function unpackClosures({ closed = [], ...event }: PackedClosures): ClosuresEvent {
  const copies = [...event.copies];
  for (const [closePriceMicros, closedAtMs, flat] of closed) {
    for (let index = 0; index + 3 < flat.length; index += 4) {
      const terms = { closePriceMicros, closedAtMs };
      const [stakeCents, returnCents] = [Number(flat[index + 2]), Number(flat[index + 3])];
      copies.push([
        flat[index] as SubscriptionId,
        flat[index + 1] as AccountId,
        { kind: "closed", stakeCents, returnCents, ...terms },
      ]);
    }
  }
  return { ...event, copies };
}

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

export type RegionEvent = OutcomesEvent | ClosuresEvent | SettlementsEvent;

/** The one field `link` of a `links` entry, as JSON. */
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
