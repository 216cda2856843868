/** Recorded signals, the results of their copies, and their orders. */
import * as v from "valibot";
import { isSignalId, SIGNAL_ID_PATTERN, type PersonId, type SignalId } from "../../domain/ids.ts";
import { OUTCOME_KINDS } from "../../domain/copier/outcome.ts";
import { deriveStatus, type Progress, type Timing } from "../../domain/copier/progress.ts";
import { failure } from "../../domain/result.ts";
import { CONTRACT_TYPES } from "../../domain/products/binary.ts";
import { count, id } from "../../http/field.ts";
import { reply } from "../../http/operation.ts";
import { NEXT, pageFields, readPage } from "../../http/page.ts";
import { AcceptanceShape, CountsShape, ProgressShape, ResultsShape } from "../../http/progress.ts";
import { afterId, type OrderRecord, type SignalRecord } from "../records/port.ts";
import { readChannels, sendsTo } from "./access.ts";
import type { Api, RecordsService } from "./api.ts";
import { createTallies, type Tally } from "./tally.ts";

/** How an order ended. A close's orders end as closed instead of placed. */
const ORDER_OUTCOMES = [...OUTCOME_KINDS, "closed"] as const;
const NONE = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
const SIGNAL = { pattern: SIGNAL_ID_PATTERN, unknown: "SIGNAL_UNKNOWN" } as const;
/** The acceptance time of the last signal of a page, and its id. */
const SIGNALS_CURSOR = /^(\d{1,15})-(s[0-9a-z]{1,3}_[0-9a-f]{32})$/;
/** An order's id: its signal's and its subscription's. */
const ORDERS_CURSOR = /^[\w.-]{1,200}$/;
const optionalCount = v.optional(count);

const RecordedSignal = v.object({
  ...AcceptanceShape.entries,
  channel: v.string(),
  action: v.picklist(["open", "close"]),
  /** Absent if the house closed everything. */
  symbol: v.optional(v.string()),
  /** A close has none of these fields. */
  contract: v.optional(v.picklist(CONTRACT_TYPES)),
  stakeCents: optionalCount,
  durationSeconds: optionalCount,
  /** Of a close: the signals whose positions it closes. */
  closes: v.optional(v.array(v.string())),
  counts: CountsShape,
  results: ResultsShape,
});

const Order = v.object({
  id: v.string(),
  subscription: v.string(),
  account: v.optional(v.string()),
  broker: v.string(),
  outcome: v.picklist(ORDER_OUTCOMES),
  /** Of a close: the order that it closes. */
  closes: v.optional(v.string()),
  reason: v.optional(v.string()),
  stakeCents: optionalCount,
  openPriceMicros: optionalCount,
  openedAtMs: optionalCount,
  expiresAtMs: optionalCount,
  closedAtMs: optionalCount,
  settlement: v.optional(v.string()),
  returnCents: optionalCount,
  closePriceMicros: v.nullish(count),
  settledAtMs: optionalCount,
  acceptedAtMs: count,
  dispatchedAtMs: count,
  decidedAtMs: count,
  sentAtMs: optionalCount,
  answeredAtMs: optionalCount,
  recordedAtMs: count,
});

export function serveSignals(service: RecordsService, api: Api): void {
  const { records, clock } = api;
  const tally = createTallies(records);

  service.serve({
    method: "GET",
    path: "/v1/signals",
    operationId: "listSignals",
    summary: "The newest signals of the caller's channels, with their results so far",
    permission: "records:read",
    query: v.strictObject({ channel: v.optional(id), ...pageFields(20, SIGNALS_CURSOR) }),
    answers: {
      200: {
        description: "The newest first.",
        body: v.object({ signals: v.array(RecordedSignal), ...NEXT }),
      },
    },
    problems: [],
    async handle({ query, caller }) {
      const readable = await readChannels(records, caller.person, clock());
      const [first, ...others] = [...readable].filter((each) => each === (query.channel ?? each));
      if (first === undefined) return reply({ signals: [], next: null });
      // For one channel an index has them in this order.
      const channel = others.length === 0 ? first : [first, ...others];
      const [, value, afterSignal = ""] = SIGNALS_CURSOR.exec(query.after ?? "") ?? [];
      const { items, next } = await readPage(
        query.limit,
        (limit) =>
          records.signals.find({
            where: { channel },
            sort: { field: "acceptedAtMs", descending: true },
            after: value === undefined ? undefined : { value: Number(value), id: afterSignal },
            limit,
          }),
        ({ acceptedAtMs, _id }) => `${acceptedAtMs}-${_id}`,
      );
      const tallies = await tally(items);
      return reply({ signals: items.map((each) => shown(each, tallies.get(each._id))), next });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/signals/:id/results",
    operationId: "readResults",
    summary: "The results of a signal's copies so far",
    permission: "records:read",
    params: { id: SIGNAL },
    answers: {
      200: {
        description: "Counts and sums.",
        body: v.object({ id: v.string(), results: ResultsShape }),
      },
    },
    problems: [],
    async handle({ params, caller }) {
      const signal = await readable(api, params.id, caller.person);
      if (!signal) return failure("SIGNAL_UNKNOWN");
      return reply({ id: signal.id, results: (await tally([signal])).get(signal.id)?.results });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/signals/:id/orders",
    operationId: "listOrders",
    summary: "A signal's orders: senders of its channel see all, a follower sees their own",
    permission: "records:read",
    params: { id: SIGNAL },
    query: v.strictObject({
      outcome: v.optional(
        v.picklist(ORDER_OUTCOMES, `must be one of ${ORDER_OUTCOMES.join(", ")}`),
      ),
      ...pageFields(100, ORDERS_CURSOR),
    }),
    answers: {
      200: { description: "By id.", body: v.object({ orders: v.array(Order), ...NEXT }) },
    },
    problems: [],
    async handle({ params, query: { outcome, after, limit: most }, caller: { person } }) {
      const signal = await recorded(api, params.id);
      const channel = signal && (await records.channels.get(signal.channel));
      if (!signal || !channel) return failure("SIGNAL_UNKNOWN");
      const own = await records.subscriptions.find({
        where: { follower: person, channel: signal.channel },
      });
      const sends = sendsTo(channel, person);
      if (!sends && own.length === 0) return failure("SIGNAL_UNKNOWN");
      const ids = own.map(({ _id }) => _id);
      const where = {
        signal: signal.id,
        outcome: outcome ?? ORDER_OUTCOMES,
        ...(sends ? {} : { subscription: ids }),
      };
      const { items, next } = await readPage(
        most,
        (limit) => records.orders.find({ where, after: afterId(after), limit }),
        ({ _id }) => _id,
      );
      return reply({
        orders: items.map((order) => shownOrder(order, ids.includes(order.subscription))),
        next,
      });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/records/signals/:id",
    operationId: "readRecordedProgress",
    summary: "The recorded progress of a signal's fan-out",
    permission: "signals:read",
    params: { id: SIGNAL },
    answers: { 200: { description: "The progress.", body: ProgressShape } },
    problems: [],
    async handle({ params, caller }) {
      const signal = await readable(api, params.id, caller.person);
      if (!signal) return failure("SIGNAL_UNKNOWN");
      return reply(toProgress(signal, (await tally([signal])).get(signal.id)));
    },
  });
}

function toProgress({ id: signal, followers, acceptedAtMs }: Recorded, tally?: Tally): Progress {
  const { counts: outcomes = NONE, answered = null } = tally ?? {};
  const counts = { followers, ...outcomes };
  const timing: Timing = {
    acceptedAtMs,
    firstMs: answered && answered.min - acceptedAtMs,
    lastMs: answered && answered.max - acceptedAtMs,
  };
  return { id: signal, status: deriveStatus(counts), counts, timing };
}

type Recorded = SignalRecord & { readonly id: SignalId };

/** A signal of which only the chain's link is recorded does not count as recorded yet. */
async function recorded({ records }: Api, id: string): Promise<Recorded | undefined> {
  if (!isSignalId(id)) return undefined;
  const signal = await records.signals.get(id);
  return signal?.acceptedAtMs === undefined ? undefined : { ...signal, id };
}

async function readable(api: Api, id: string, person: PersonId): Promise<Recorded | undefined> {
  const signal = await recorded(api, id);
  if (!signal) return undefined;
  const channels = await readChannels(api.records, person, api.clock());
  return channels.has(signal.channel) ? signal : undefined;
}

function shown(signal: SignalRecord, tally: Tally | undefined): object {
  const { _id, channel, action = "open", symbol, sequence, closes } = signal;
  const { contract, stakeCents, durationSeconds } = signal;
  return {
    id: _id,
    channel,
    action,
    symbol,
    contract,
    stakeCents,
    durationSeconds,
    closes,
    sequence,
    acceptedAtMs: signal.acceptedAtMs,
    followers: signal.followers,
    counts: { followers: signal.followers, ...tally?.counts },
    results: tally?.results,
  };
}

/** Only its owner may see the account. */
function shownOrder({ _id, signal: _, account, ...rest }: OrderRecord, own: boolean): object {
  return { id: _id, ...rest, ...(own ? { account } : {}) };
}
