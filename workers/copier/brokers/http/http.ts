/**
 * A broker over plain HTTP and JSON. Its capabilities come from the configuration.
 * Anything but a complete answer counts as no answer: the orders may be booked.
 * Only a 429 proves that nothing was taken.
 */
import * as v from "valibot";
import type {
  Answered,
  Broker,
  Busy,
  Capabilities,
  CloseAnswer,
  CloseBatch,
  OrderBatch,
} from "../port.ts";
import {
  BookedReply,
  ClosedReply,
  CloseReply,
  LookUpReply,
  OpenReply,
  SettlementsReply,
  ValuesReply,
} from "./api.ts";

const CALL_TIMEOUT_MS = 2_000;
/** Longer than a broker delays an empty answer. */
const SETTLEMENTS_TIMEOUT_MS = 10_000;
/** Used if a 429 does not say when to retry. */
const BUSY_MS = 100;

export interface HttpBroker {
  readonly name: string;
  readonly url: string;
  readonly token: string;
  readonly capabilities: Capabilities;
}

export function connectHttp({ name, url, token, capabilities }: HttpBroker): Broker {
  async function call<T>(
    schema: v.GenericSchema<unknown, T>,
    path: string,
    body?: unknown,
    giveUp = AbortSignal.timeout(CALL_TIMEOUT_MS),
  ): Promise<Answered<T> | Busy | Missing> {
    try {
      const response = await fetch(`${url}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: giveUp,
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        if (NOT_THERE.has(response.status)) return { kind: "missing" };
        return response.status === 429 ? busy(response) : UNANSWERED;
      }
      const parsed = v.safeParse(schema, await response.json());
      return parsed.success ? { kind: "answered", answers: parsed.output } : UNANSWERED;
    } catch {
      // For any of these reasons, the request may still have arrived at the broker.
      return UNANSWERED;
    }
  }

  /** A reply with the wrong number of answers counts as no reply. */
  async function list<T>(
    schema: v.GenericSchema<unknown, { readonly answers: readonly T[] }>,
    path: string,
    body: unknown,
    count: number,
  ): Promise<Answered<readonly T[]> | Busy | Missing> {
    const reply = await call(schema, path, body);
    if (reply.kind !== "answered") return reply;
    const { answers } = reply.answers;
    return answers.length === count ? { kind: "answered", answers } : UNANSWERED;
  }

  return {
    name,
    capabilities,
    async open(batch) {
      const reply = await list(OpenReply, "/orders", makeBody(batch), batch.orders.length);
      return reply.kind === "missing" ? UNANSWERED : reply;
    },
    async lookUp(batch) {
      const { length } = batch.orders;
      return question(await list(LookUpReply, "/orders/lookup", makeBody(batch), length));
    },
    async close(batch) {
      const { orders } = batch;
      const reply = await list(CloseReply, "/orders/close", makeCloseBody(batch), orders.length);
      if (reply.kind !== "missing") return reply;
      return { kind: "answered", answers: orders.map(unsupported) };
    },
    async findClosed(batch) {
      const { length } = batch.orders;
      return question(await list(ClosedReply, "/orders/closed", makeCloseBody(batch), length));
    },
    async list(signal) {
      const reply = question(await call(BookedReply, `/orders?signal=${signal}`));
      return reply.kind === "answered"
        ? { kind: "answered", answers: reply.answers.answers }
        : reply;
    },
    async balances(accounts) {
      return question(await list(ValuesReply, "/balances", { accounts }, accounts.length));
    },
    async payoutsBp(symbols) {
      return question(await list(ValuesReply, "/payouts", { symbols }, symbols.length));
    },
    async settlements(after, stop) {
      const path = `/settlements?after=${encodeURIComponent(after)}`;
      const giveUp = AbortSignal.any([stop, AbortSignal.timeout(SETTLEMENTS_TIMEOUT_MS)]);
      return question(await call(SettlementsReply, path, undefined, giveUp));
    },
  };
}

const UNANSWERED = { kind: "unanswered" } as const;

/** The broker has no such address: it certainly did nothing, and never will. */
interface Missing {
  readonly kind: "missing";
}
const NOT_THERE = new Set([404, 405, 501]);

function unsupported({ stakeCents }: CloseBatch["orders"][number]): CloseAnswer {
  return { kind: "rejected", stakeCents, reason: "CLOSE_UNSUPPORTED" };
}

/**
 * A question changes nothing, so one that was turned away is asked again like one
 * that was lost.
 */
function question<T>(reply: Answered<T> | Busy | Missing): Answered<T> {
  return reply.kind === "answered" ? reply : UNANSWERED;
}

function busy(response: Response): Busy {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : BUSY_MS;
  return { kind: "busy", retryAfterMs };
}

function makeBody({
  symbol,
  contract,
  durationSeconds,
  validUntilMs,
  orders,
}: OrderBatch): unknown {
  return {
    symbol,
    contract,
    durationSeconds,
    validUntilMs,
    orders: orders.map(named),
  };
}

function makeCloseBody({ close, symbol, orders }: CloseBatch): unknown {
  return { close, symbol, orders: orders.map(named) };
}

function named({ clientOrderId, account, stakeCents }: CloseBatch["orders"][number]): object {
  return { clientOrderId, account, stakeCents };
}
