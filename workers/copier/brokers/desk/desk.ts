/**
 * The house broker as the copier sees it: over HTTP, like any other. It opens
 * each client order id once, enforces `validUntilMs` itself and answers for
 * certain what it never opened.
 */
import { bucketOf, nameOf } from "../../../desk/stored/books.ts";
import type { Answered, BookedOrder, Broker, CloseBatch, OrderBatch } from "../port.ts";
import type {
  CloseBatchAnswer,
  CloseBatchBody,
  ClosedAnswer,
  ContractsAnswer,
  LookUpAnswer,
  OpenAnswer,
  OrderBatchBody,
  SettlementsAnswer,
  ValuesAnswer,
} from "../../../venues/desk/api.ts";

/** Of a bulk open or look-up, which the desk does in milliseconds. */
const CALL_TIMEOUT_MS = 2_000;
/** Longer than the desk holds an empty answer back. */
const SETTLEMENTS_TIMEOUT_MS = 10_000;

export function connectDesk(url: string, token: string): Broker {
  /** Anything but a 200 may have been booked: unanswered. */
  async function call<T>(path: string, giveUp: AbortSignal, body?: object): Promise<Answered<T>> {
    try {
      const response = await fetch(`${url}${path}`, {
        method: body ? "POST" : "GET",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: giveUp,
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        return { kind: "unanswered" };
      }
      return { kind: "answered", answers: (await response.json()) as T };
    } catch {
      return { kind: "unanswered" };
    }
  }

  return {
    name: "desk",
    capabilities: {
      deduplicates: "account",
      lookUp: "authoritative",
      validUntil: "enforced",
      inFlightMs: CALL_TIMEOUT_MS,
      closes: "once",
    },
    async open(batch) {
      const reply = await call<OpenAnswer>("/v1/contracts", callTimeout(), bodyOf(batch));
      if (reply.kind === "unanswered") return reply;
      const { answers } = reply;
      if ("answers" in answers) return sized({ ...reply, answers }, batch.orders.length);
      const { opened } = answers;
      return {
        kind: "answered",
        answers: batch.orders.map(({ stakeCents }) => ({ kind: "placed", stakeCents, ...opened })),
      };
    },
    async lookUp(batch) {
      const path = "/v1/contracts/lookup";
      const reply = await call<LookUpAnswer>(path, callTimeout(), bodyOf(batch));
      return sized(reply, batch.orders.length);
    },
    async close(batch) {
      const path = "/v1/contracts/close";
      const reply = await call<CloseBatchAnswer>(path, callTimeout(), closeBodyOf(batch));
      return sized(reply, batch.orders.length);
    },
    async findClosed(batch) {
      const path = "/v1/contracts/closed";
      const reply = await call<ClosedAnswer>(path, callTimeout(), closeBodyOf(batch));
      return sized(reply, batch.orders.length);
    },
    async balances(accounts) {
      const path = "/v1/balances";
      return sized(await call<ValuesAnswer>(path, callTimeout(), { accounts }), accounts.length);
    },
    async payoutsBp(symbols) {
      const path = "/v1/payouts";
      return sized(await call<ValuesAnswer>(path, callTimeout(), { symbols }), symbols.length);
    },
    async list(signal) {
      const found: BookedOrder[] = [];
      let after: string | null = "0";
      while (after !== null) {
        const path: string = `/v1/contracts?bucket=${signal}&after=${after}`;
        const reply: Answered<ContractsAnswer> = await call(path, callTimeout());
        if (reply.kind === "unanswered") return reply;
        found.push(...reply.answers.contracts);
        after = reply.answers.next;
      }
      return { kind: "answered", answers: found };
    },

    async settlements(after, stop) {
      const path = `/v1/settlements?after=${encodeURIComponent(after)}`;
      const giveUp = AbortSignal.any([stop, AbortSignal.timeout(SETTLEMENTS_TIMEOUT_MS)]);
      return await call<SettlementsAnswer>(path, giveUp);
    },
  };
}

const callTimeout = (): AbortSignal => AbortSignal.timeout(CALL_TIMEOUT_MS);

/** An answer that does not speak of everything that was asked is none. */
function sized<T>(
  reply: Answered<{ readonly answers: readonly T[] }>,
  count: number,
): Answered<readonly T[]> {
  if (reply.kind === "unanswered") return reply;
  const { answers } = reply.answers;
  if (answers.length !== count) return { kind: "unanswered" };
  return { kind: "answered", answers };
}

function bodyOf({
  orders,
  symbol,
  contract,
  durationSeconds,
  validUntilMs,
  shard,
}: OrderBatch): OrderBatchBody {
  return {
    ...{ symbol, contract, durationSeconds, validUntilMs },
    orders: columnsOf(orders, shard),
  };
}

function closeBodyOf({ close, orders, shard }: CloseBatch): CloseBatchBody {
  return { close, orders: columnsOf(orders, shard) };
}

/** A batch is of one signal, so its client order ids begin alike: that part is said once. */
function columnsOf(
  orders: OrderBatch["orders"] | CloseBatch["orders"],
  shard: number,
): OrderBatchBody["orders"] {
  const bucket = orders[0] === undefined ? "" : bucketOf(orders[0].clientOrderId);
  const start = `${bucket}.`;
  if (!orders.every(({ clientOrderId: id }) => id === bucket || id.startsWith(start))) {
    throw new TypeError("the orders of a batch are not of one signal");
  }
  return {
    bucket,
    shard,
    names: orders.map(({ clientOrderId }) => nameOf(clientOrderId, bucket)),
    accounts: orders.map(({ account }) => account),
    stakesCents: orders.map(({ stakeCents }) => stakeCents),
  };
}
