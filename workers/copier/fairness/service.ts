/**
 * The order in which a channel's followers were served, read from the records. An
 * order counts from the broker's answer, and a follower who was skipped as too
 * late is last. Followers whose orders were sent in one call have one answer, and
 * count as served at the same moment.
 */
import type { SubscriptionId } from "../../../domain/ids.ts";
import type { Served } from "../../../domain/copier/fairness.ts";
import type { OrderRecord, Records } from "../../records/port.ts";

/** One signal. */
export interface Service {
  readonly served: Served;
  readonly tooLate: readonly SubscriptionId[];
  /** Between the first and the last answer. */
  readonly spreadMs: number;
}

/**
 * The newest signals of a channel that have an answer from a broker, up to this
 * many, newest first.
 */
export async function* servicesOf(
  { signals, orders }: Pick<Records, "signals" | "orders">,
  channel: string,
  limit: number,
): AsyncIterable<Service> {
  const sort = { field: "acceptedAtMs", descending: true };
  for (const { _id } of await signals.find({ where: { channel }, sort, limit })) {
    const service = serviceOf(await orders.find({ where: { signal: _id } }));
    if (service) yield service;
  }
}

/** Undefined if no follower was served. */
export function serviceOf(orders: readonly OrderRecord[]): Service | undefined {
  const byAnswer = new Map<number, SubscriptionId[]>();
  const tooLate: SubscriptionId[] = [];
  for (const { subscription, answeredAtMs, outcome, reason } of orders) {
    const id = subscription as SubscriptionId;
    if (outcome === "skipped") {
      if (reason === "TOO_LATE") tooLate.push(id);
    } else if (answeredAtMs !== undefined) {
      const together = byAnswer.get(answeredAtMs);
      if (together) together.push(id);
      else byAnswer.set(answeredAtMs, [id]);
    }
  }
  const times = [...byAnswer.keys()].toSorted((a, b) => a - b);
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const served = times.map((time) => byAnswer.get(time) ?? []);
  if (tooLate.length > 0) served.push(tooLate);
  return { served, tooLate, spreadMs: last - first };
}
