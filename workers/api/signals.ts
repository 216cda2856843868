/** Signals as they were recorded, what became of their copies, and the orders one by one. */
import type { Hono } from "hono";
import { isSignalId, type PersonId, type SignalId } from "../../domain/ids.ts";
import type { Progress } from "../../redis/progress.ts";
import type { OrderRecord, SignalRecord } from "../records/port.ts";
import { readChannels, sendsTo } from "./access.ts";
import type { Api } from "./api.ts";
import { reply, serve } from "./operation.ts";
import { failure } from "../../domain/result.ts";
import {
  ORDER_OUTCOMES,
  OrdersAnswer,
  OrdersQuery,
  ProgressAnswer,
  ResultsAnswer,
  SignalsAnswer,
  SignalsQuery,
} from "./schemas.ts";
import { createTallies } from "./tally.ts";

const NONE = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };

export function serveSignals(app: Hono, api: Api): void {
  const { records, tokens, clock } = api;
  const tally = createTallies(records);

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/signals",
      operationId: "listSignals",
      summary: "The newest signals of the caller's channels, with their results so far",
      query: SignalsQuery,
      answers: { 200: ["The newest first.", SignalsAnswer] },
      problems: [],
    },
    async ({ query: { channel, limit } }, { person }) => {
      const readable = await readChannels(records, person, clock());
      const channels = [...readable].filter((each) => each === (channel ?? each));
      const found = await records.signals.find({
        where: { channel: channels },
        sort: { field: "acceptedAtMs", descending: true },
        limit,
      });
      const tallies = await tally(found);
      return reply({ signals: found.map((signal) => shown(signal, tallies.get(signal._id))) });
    },
  );

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/signals/:id/results",
      operationId: "readResults",
      summary: "What became of a signal's copies so far",
      answers: { 200: ["Counts and sums.", ResultsAnswer] },
      problems: ["SIGNAL_UNKNOWN"],
    },
    async ({ id }, { person }) => {
      const signal = await readable(api, id, person);
      if (!signal) return failure("SIGNAL_UNKNOWN");
      return reply({ id, results: (await tally([signal])).get(id)?.results });
    },
  );

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/signals/:id/orders",
      operationId: "listOrders",
      summary: "A signal's orders: all for those who send to its channel, one's own for a follower",
      query: OrdersQuery,
      answers: { 200: ["The first by id.", OrdersAnswer] },
      problems: ["SIGNAL_UNKNOWN"],
    },
    async ({ id, query: { outcome, limit } }, { person }) => {
      const signal = await recorded(api, id);
      const channel = signal && (await records.channels.get(signal.channel));
      if (!signal || !channel) return failure("SIGNAL_UNKNOWN");
      const own = await records.subscriptions.find({
        where: { follower: person, channel: signal.channel },
      });
      const sends = sendsTo(channel, person);
      if (!sends && own.length === 0) return failure("SIGNAL_UNKNOWN");
      const ids = own.map(({ _id }) => _id);
      const found = await records.orders.find({
        where: {
          signal: id,
          outcome: outcome ?? ORDER_OUTCOMES,
          ...(sends ? {} : { subscription: ids }),
        },
        limit,
      });
      return reply({
        orders: found.map((order) => shownOrder(order, ids.includes(order.subscription))),
      });
    },
  );

  serve(
    app,
    tokens,
    "signals:read",
    {
      method: "GET",
      path: "/v1/records/signals/:id",
      operationId: "readRecordedProgress",
      summary: "How far a signal's fan-out is, as recorded",
      answers: { 200: ["The progress.", ProgressAnswer] },
      problems: ["SIGNAL_UNKNOWN"],
    },
    async ({ id }, { person }) => {
      const signal = await readable(api, id, person);
      if (!signal) return failure("SIGNAL_UNKNOWN");
      const { followers, acceptedAtMs } = signal;
      const { counts = NONE, answered } = (await tally([signal])).get(id) ?? {};
      const done = counts.placed + counts.rejected + counts.skipped + counts.unknown;
      return reply({
        id,
        status: done >= followers ? "complete" : "running",
        counts: { followers, ...counts },
        timing: {
          acceptedAt: acceptedAtMs,
          firstMs: answered ? answered.min - acceptedAtMs : null,
          lastMs: answered ? answered.max - acceptedAtMs : null,
        },
      } satisfies Progress);
    },
  );
}

type Recorded = SignalRecord & { readonly id: SignalId };

/** A signal of which only the chain's link is recorded yet is not known yet. */
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

function shown(
  signal: SignalRecord,
  tally: { readonly counts: object; readonly results: object } | undefined,
): object {
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
    acceptedAt: signal.acceptedAtMs,
    counts: { followers: signal.followers, ...tally?.counts },
    results: tally?.results,
  };
}

/** Which account it was is its owner's business alone. */
function shownOrder({ _id, signal: _, account, ...rest }: OrderRecord, own: boolean): object {
  return { id: _id, ...rest, ...(own ? { account } : {}) };
}
