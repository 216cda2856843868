/**
 * Compares one signal's copies both ways (P2, P3, P5): the snapshot with the
 * outcomes, the outcomes with the intents, and the outcomes with the broker's own
 * list.
 */
import type { SignalId, SubscriptionId } from "../../../domain/ids.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import type { BookedOrder } from "../brokers/port.ts";
import type { Difference, DifferenceKind } from "./differences.ts";

export interface ShardPicture {
  readonly broker: string;
  readonly shard: number;
  readonly enqueued: boolean;
  /** Whether its job's outcomes were written. */
  readonly reported: boolean;
  /** Undefined if there are no intents, or they are forgotten. */
  readonly intended: readonly SubscriptionId[] | undefined;
  /** Undefined if the roster no longer shows the members. */
  readonly members: readonly SubscriptionId[] | undefined;
}

/** What an outcome says. */
export interface Told {
  readonly kind: Outcome["kind"];
  readonly account?: string;
  readonly stakeCents?: number;
}

export interface SignalPicture {
  readonly id: SignalId;
  readonly channel: string;
  readonly acceptedAtMs: number;
  readonly deadlineMs: number;
  readonly followers: number;
  /** Undefined once Redis has forgotten the signal's routes. */
  readonly shards: readonly ShardPicture[] | undefined;
  /** How many outcomes the region's counters have; undefined once forgotten. */
  readonly counted: number | undefined;
  /** Final and unknown outcomes in the events that Redis still has. */
  readonly events: ReadonlyMap<string, readonly Told[]>;
  /** The outcome in the records. */
  readonly records: ReadonlyMap<string, Told>;
  /** Each broker's own list; undefined if the broker did not answer. */
  readonly booked: ReadonlyMap<string, readonly BookedOrder[] | undefined>;
}

export function compareCopies(picture: SignalPicture, unknownBeforeMs: number): Difference[] {
  const differences: Difference[] = [];
  const { id: signal, channel } = picture;
  const name: Name = (kind, detail, subscription) => {
    const whose = subscription === undefined ? {} : { subscription };
    differences.push({ kind, channel, signal, ...whose, detail });
  };
  const outcomes = mergeOutcomes(picture, name);
  compareSnapshot(picture, outcomes, name);
  compareIntents(picture, outcomes, name);
  const listed = compareBooks(picture, outcomes, name);
  if (picture.acceptedAtMs > unknownBeforeMs) return differences;
  const isSilent = [...picture.booked.values()].includes(undefined);
  for (const [subscription, { kind }] of outcomes) {
    if (kind !== "unknown") continue;
    const has = listed.has(subscription) ? "has the order" : "does not have the order";
    name("UNKNOWN_TOO_LONG", `the broker ${isSilent ? "is silent" : has}`, subscription);
  }
  return differences;
}

type Name = (kind: DifferenceKind, detail: string, subscription?: string) => void;

/**
 * Takes one outcome for each follower, a final one before an unknown one, and
 * names the followers with more than one final outcome.
 */
function mergeOutcomes(
  { events, records, counted, followers }: SignalPicture,
  name: Name,
): Map<string, Told> {
  const outcomes = new Map<string, Told>(records);
  let doubled = false;
  for (const [subscription, reported] of events) {
    const finals = reported.filter(({ kind }) => kind !== "unknown");
    const recorded = records.get(subscription);
    const [final] = finals;
    if (finals.length > 1) {
      doubled = true;
      name("OUTCOME_TWICE", finals.map(({ kind }) => kind).join(", then "), subscription);
    } else if (final && recorded && recorded.kind !== "unknown" && recorded.kind !== final.kind) {
      doubled = true;
      name(
        "OUTCOME_TWICE",
        `reported as ${final.kind}, recorded as ${recorded.kind}`,
        subscription,
      );
    }
    const last = final ?? reported.at(-1);
    if (last && (!recorded || recorded.kind === "unknown")) outcomes.set(subscription, last);
  }
  if (!doubled && counted !== undefined && counted > followers) {
    name("OUTCOME_TWICE", `${counted} outcomes were counted for ${followers} followers`);
  }
  return outcomes;
}

function compareSnapshot(
  { shards, followers }: SignalPicture,
  outcomes: ReadonlyMap<string, Told>,
  name: Name,
): void {
  let forgotten = shards === undefined;
  const everyone = new Set<string>();
  for (const { broker, shard, enqueued, reported, intended, members } of shards ?? []) {
    const where = `${broker}, shard ${shard}`;
    if (!enqueued) name("JOB_MISSING", where);
    if (members === undefined) {
      forgotten = true;
      name("SNAPSHOT_DIFFERS", where);
      continue;
    }
    const got = reported ? "was reported" : intended ? "has intents only" : "has no intents";
    for (const member of members) {
      everyone.add(member);
      if (!outcomes.has(member)) name("OUTCOME_MISSING", `${where}: its job ${got}`, member);
    }
  }
  if (forgotten) {
    if (outcomes.size < followers) {
      name("OUTCOME_MISSING", `${outcomes.size} outcomes of ${followers} followers`);
    }
    return;
  }
  for (const [subscription, { kind }] of outcomes) {
    if (!everyone.has(subscription)) name("OUTCOME_OF_NOBODY", kind, subscription);
  }
}

function compareIntents(
  { shards = [] }: SignalPicture,
  outcomes: ReadonlyMap<string, Told>,
  name: Name,
): void {
  for (const { intended, members } of shards) {
    if (!intended || !members) continue;
    const known = new Set<string>(intended);
    for (const member of members) {
      const outcome = outcomes.get(member);
      if (outcome && !known.has(member)) name("OUTCOME_NOT_INTENDED", outcome.kind, member);
    }
  }
}

function compareBooks(
  { id, deadlineMs, booked }: SignalPicture,
  outcomes: ReadonlyMap<string, Told>,
  name: Name,
): ReadonlySet<string> {
  const seen = new Set<string>();
  for (const [broker, orders] of booked) {
    if (!orders) name("BROKER_SILENT", broker);
    for (const order of orders ?? []) {
      const subscription = order.clientOrderId.slice(id.length + 1);
      const outcome = outcomes.get(subscription);
      if (seen.has(subscription)) name("ORDER_TWICE", broker, subscription);
      seen.add(subscription);
      if (order.openedAtMs > deadlineMs) {
        name("ORDER_LATE", `${broker}: ${order.openedAtMs - deadlineMs} ms late`, subscription);
      }
      if (outcome === undefined || outcome.kind === "rejected" || outcome.kind === "skipped") {
        name("AT_BROKER_NOT_PLACED", `${broker}: ${outcome?.kind ?? "no outcome"}`, subscription);
      } else if (outcome.kind === "placed" && differs(outcome, order)) {
        name("ORDER_DIFFERS", `${broker}: another account or stake`, subscription);
      }
    }
  }
  // If any list is missing, it cannot be said that an order is on none of them.
  if ([...booked.values()].includes(undefined)) return seen;
  for (const [subscription, { kind }] of outcomes) {
    if (kind !== "placed" || seen.has(subscription)) continue;
    name("PLACED_NOT_AT_BROKER", [...booked.keys()].join(", "), subscription);
  }
  return seen;
}

function differs({ account, stakeCents }: Told, order: BookedOrder): boolean {
  return account !== order.account || stakeCents !== order.stakeCents;
}
