/**
 * The reported outcomes of each follower, from the events and the records, read directly and
 * without the tested code.
 */
import type { SignalId, SubscriptionId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../redis/progress.ts";
import type { OrderRecord } from "../../workers/records/port.ts";
import { HOME, PARTITIONS, readEvents } from "../support/copier.ts";
import type { World } from "./world.ts";

export interface ReportedOutcome {
  readonly kind: string;
  readonly reason?: string | undefined;
  readonly stakeCents?: number | undefined;
  /** What the sale of a closed copy returned. */
  readonly returnCents?: number | undefined;
}

export interface Reported {
  readonly signal: SignalId;
  /**
   * Where the acceptance is stored; the records may have an acceptance that a Redis lost with its
   * tail.
   */
  readonly accepted: "in Redis" | "in the records" | "nowhere";
  /** Whether every partition has noted that its job was enqueued. */
  readonly enqueued: boolean;
  /** In the order of reporting. */
  readonly words: ReadonlyMap<string, readonly ReportedOutcome[]>;
  /**
   * Copies that are unknown by the events alone: the records may have an answer that a Redis has
   * lost.
   */
  readonly unsure: ReadonlySet<string>;
}

export async function readReported(
  { copier, records }: World,
  signal: SignalId,
): Promise<Reported> {
  const fields = await copier.redis.send("HMGET", [HOME.signal(signal), ...STORED_SIGNAL_FIELDS]);
  const marks = await Promise.all(
    PARTITIONS.all().map((each) =>
      copier.redis.send("EXISTS", [new RegionKeys(each).enqueued(signal)]),
    ),
  );
  const recorded = await records.signals.get(signal);
  const words = new Map<string, ReportedOutcome[]>();
  for (const { copies } of await readEvents(copier.redis, signal)) {
    for (const [subscription, , outcome] of copies) {
      words.set(subscription, [...(words.get(subscription) ?? []), outcome]);
    }
  }
  const unsure = new Set(
    [...words].filter(([, reported]) => findLast(reported)?.kind === "unknown").map(([who]) => who),
  );
  for (const order of await records.orders.find({ where: { signal } })) {
    const word = recordedWord(order);
    const reported = words.get(order.subscription) ?? [];
    // The records repeat the events, except for those that were recorded before a Redis lost them.
    if (!word || reported.some((each) => each.kind === word.kind)) continue;
    if (word.kind === "unknown" && reported.length > 0) continue;
    words.set(order.subscription, [...reported, word]);
  }
  const stored = parseStoredSignal(fields) !== undefined;
  const known = recorded?.acceptedAtMs !== undefined;
  const accepted = stored ? "in Redis" : known ? "in the records" : "nowhere";
  return { signal, accepted, enqueued: marks.every((each) => each === 1), words, unsure };
}

/** A settlement that came before its order contains no outcome yet. */
function recordedWord({
  outcome,
  reason,
  stakeCents,
}: Partial<OrderRecord>): ReportedOutcome | undefined {
  return outcome === undefined ? undefined : { kind: outcome, reason, stakeCents };
}

/** The final outcome of a follower: a certain one before an unknown one. */
export function findLastOutcome(
  { words }: Reported,
  follower: SubscriptionId,
): ReportedOutcome | undefined {
  return findLast(words.get(follower));
}

export function findLast(all: readonly ReportedOutcome[] = []): ReportedOutcome | undefined {
  return filterFinal(all)[0] ?? all.at(-1);
}

export function filterFinal(all: readonly ReportedOutcome[] = []): ReportedOutcome[] {
  return all.filter(({ kind }) => kind !== "unknown");
}

export function formatOutcome({ kind, reason }: ReportedOutcome): string {
  return reason === undefined ? kind : `${kind}: ${reason}`;
}
