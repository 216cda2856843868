/**
 * Writes entries of the streams to the records, each kind in bulk. Every write may
 * be repeated in any order with the same result. An `unknown` outcome is written
 * only if there is no outcome yet, and any other always, so that a resolved one
 * never becomes unknown again.
 */
import { clientOrderId } from "../../../domain/ids.ts";
import type {
  ChainLink,
  ClosuresEvent,
  CopyClosure,
  CopyOutcome,
  OutcomesEvent,
  SettlementsEvent,
} from "../stored/events.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import type { OrderRecord, Part, Records } from "../../records/port.ts";
import { parseEvent, parseLink, parseSignalEntry } from "./parse.ts";

type Handle = (entries: readonly Entry[]) => Promise<readonly Verdict[]>;

export function recordSignals({ signals }: Pick<Records, "signals">): Handle {
  return bulk(parseSignalEntry, async (entries) => {
    await signals.merge(
      entries.map(({ signal: { id, ...signal }, sha256, followers }) => ({
        ...signal,
        _id: id,
        sha256,
        followers,
      })),
    );
  });
}

export function recordLinks({ signals }: Pick<Records, "signals">): Handle {
  return bulk(parseTimedLink, async (links) => {
    await signals.merge(
      links.map(({ signal, previousHash, linkHash, signature, linkedAtMs }) => ({
        _id: signal,
        previousHash,
        linkHash,
        linkedAtMs,
        ...(signature === undefined ? {} : { signature }),
      })),
    );
  });
}

export function recordEvents({ orders }: Pick<Records, "orders">, now: () => number): Handle {
  return bulk(parseEvent, async (events) => {
    const recordedAtMs = now();
    const unknown: Part<OrderRecord>[] = [];
    const certain: Part<OrderRecord>[] = [];
    const settled: Part<OrderRecord>[] = [];
    for (const event of events) {
      if (event.kind === "settlements") {
        settled.push(...settlementsOf(event));
        continue;
      }
      for (const copy of event.copies) {
        const order = makeOrder(event, copy, recordedAtMs);
        (order.outcome === "unknown" ? unknown : certain).push(order);
      }
    }
    await orders.merge(certain);
    crashPoint("between-records");
    await orders.mergeWhereAbsent("outcome", unknown);
    await orders.merge(settled);
  });
}

/** Until the acceptance is recorded too, this is the only known time of a signal. */
function parseTimedLink(entry: Entry): (ChainLink & { readonly linkedAtMs: number }) | string {
  const link = parseLink(entry);
  return typeof link === "string" ? link : { ...link, linkedAtMs: Number.parseInt(entry.id, 10) };
}

function bulk<T>(
  parse: (entry: Entry) => T | string,
  write: (parsed: T[]) => Promise<void>,
): Handle {
  return async (entries) => {
    const parsed: T[] = [];
    const verdicts = entries.map((entry): Verdict => {
      const each = parse(entry);
      if (typeof each === "string") return { dead: each };
      parsed.push(each);
      return "done";
    });
    crashPoint("before-record");
    await write(parsed);
    crashPoint("after-record");
    return verdicts;
  };
}

/** A close has its own order, because one close may cover several orders of a follower. */
function makeOrder(
  event: OutcomesEvent | ClosuresEvent,
  [subscription, account, { kind, ...outcome }]: CopyOutcome | CopyClosure,
  recordedAtMs: number,
): OrderRecord {
  const { signal, broker, acceptedAtMs, dispatchedAtMs, decidedAtMs, sentAtMs, answeredAtMs } =
    event;
  // A skipped copy was never sent, even if others of its shard were.
  const sent = kind !== "skipped";
  const closes = event.kind === "closures" && clientOrderId(event.of, subscription);
  return {
    _id: closes ? `${signal}.${closes}` : clientOrderId(signal, subscription),
    ...(closes ? { closes } : {}),
    signal,
    subscription,
    account,
    broker,
    outcome: kind,
    ...outcome,
    acceptedAtMs,
    dispatchedAtMs,
    decidedAtMs,
    ...(sent && sentAtMs !== null ? { sentAtMs } : {}),
    ...(sent && answeredAtMs !== null ? { answeredAtMs } : {}),
    recordedAtMs,
  };
}

function settlementsOf(event: SettlementsEvent): Part<OrderRecord>[] {
  return event.settlements.map(({ clientOrderId: id, kind, ...settlement }) => {
    const [signal = "", subscription = ""] = id.split(".");
    // Both parts of the id, so that a settlement which comes first is found in the place of its
    // order.
    return { _id: id, signal, subscription, settlement: kind, ...settlement };
  });
}
