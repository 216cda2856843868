/**
 * The house broker as the copier sees it: over HTTP, like any other. It opens each
 * client order id once, enforces `validUntilMs` itself, and is certain about
 * orders that it never opened.
 */
import {
  bucketOf,
  nameOf,
  type CloseBatchBody,
  type ContractsAnswer,
  type OrderBatchBody,
} from "../../../venues/desk/api.ts";
import { CALL_TIMEOUT_MS, deskClient } from "../../../venues/desk/client.ts";
import type { Answered, BookedOrder, Broker, CloseBatch, OrderBatch } from "../port.ts";

export function connectDesk(url: string, token: string): Broker {
  const desk = deskClient(url, token);
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
      const reply = await desk.open(makeBody(batch));
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
      return sized(await desk.lookUp(makeBody(batch)), batch.orders.length);
    },
    async close(batch) {
      return sized(await desk.close(makeCloseBody(batch)), batch.orders.length);
    },
    async findClosed(batch) {
      return sized(await desk.findClosed(makeCloseBody(batch)), batch.orders.length);
    },
    async balances(accounts) {
      return sized(await desk.balances(accounts), accounts.length);
    },
    async payoutsBp(symbols) {
      return sized(await desk.payouts(symbols), symbols.length);
    },
    async list(signal) {
      const found: BookedOrder[] = [];
      let after: string | null = "0";
      while (after !== null) {
        const reply: Answered<ContractsAnswer> = await desk.contracts(signal, after);
        if (reply.kind === "unanswered") return reply;
        found.push(...reply.answers.contracts);
        after = reply.answers.next;
      }
      return { kind: "answered", answers: found };
    },
    settlements: (after, stop) => desk.settlements(after, stop),
  };
}

/** A reply with the wrong number of answers counts as no reply. */
function sized<T>(
  reply: Answered<{ readonly answers: readonly T[] }>,
  count: number,
): Answered<readonly T[]> {
  if (reply.kind === "unanswered") return reply;
  const { answers } = reply.answers;
  if (answers.length !== count) return { kind: "unanswered" };
  return { kind: "answered", answers };
}

function makeBody({
  orders,
  symbol,
  contract,
  durationSeconds,
  validUntilMs,
  shard,
}: OrderBatch): OrderBatchBody {
  return {
    symbol,
    contract,
    durationSeconds,
    validUntilMs,
    orders: packColumns(orders, shard),
  };
}

function makeCloseBody({ close, orders, shard }: CloseBatch): CloseBatchBody {
  return { close, orders: packColumns(orders, shard) };
}

/** A batch is of one signal, so its client order ids begin alike. That part is sent once. */
function packColumns(
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
