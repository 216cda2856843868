/**
 * Contracts over HTTP: brokers' copiers open, find, close and list them, one shard in each
 * call.
 */
import * as v from "valibot";
import { id, matching } from "../../../http/field.ts";
import { reply } from "../../../http/operation.ts";
import {
  CloseBatchAnswerSchema,
  CloseBatchSchema,
  ClosedAnswerSchema,
  ContractsAnswerSchema,
  LookUpAnswerSchema,
  OpenAnswerSchema,
  OrderBatchSchema,
  PayoutsSchema,
  ValuesAnswerSchema,
} from "../../venues/desk/api.ts";
import { listContracts } from "./book.ts";
import { lookUp, open, PAYOUT_BP } from "./contracts.ts";
import { findSold, sell } from "./sales.ts";
import { batch, type Desk, type DeskService } from "./service.ts";

export function serveContracts(service: DeskService, { redis, partitions, server }: Desk): void {
  service.serve({
    method: "POST",
    path: "/v1/contracts",
    operationId: "openContracts",
    summary: "Open contracts at the quote",
    description: "The orders of one shard in columns. Each is opened once by its client order id.",
    permission: "desk:admin",
    body: batch(OrderBatchSchema),
    answers: {
      200: {
        description:
          "`opened` where this call opened each of them, at the same terms and for the stake it asked for; else an answer for each order.",
        body: OpenAnswerSchema,
      },
    },
    problems: [],
    async handle({ body }) {
      return reply(await open(redis, partitions, server, body));
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/contracts/lookup",
    operationId: "lookUpContracts",
    summary: "What became of orders",
    description:
      "`absent` was never opened and never will be, since its valid-until has passed; `pending` is not on the books yet.",
    permission: "desk:admin",
    body: batch(OrderBatchSchema),
    answers: { 200: { description: "In the order of the orders.", body: LookUpAnswerSchema } },
    problems: [],
    async handle({ body }) {
      return reply({ answers: await lookUp(redis, partitions, body) });
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/contracts/close",
    operationId: "closeContracts",
    summary: "Sell contracts back at the quote",
    description:
      "Each is sold once by the signal that closes it. `not-open` was never opened, has expired, or was sold by another close.",
    permission: "desk:admin",
    body: batch(CloseBatchSchema),
    answers: {
      200: { description: "In the order of the orders.", body: CloseBatchAnswerSchema },
    },
    problems: [],
    async handle({ body }) {
      return reply({ answers: await sell(redis, partitions, server, body) });
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/contracts/closed",
    operationId: "findClosedContracts",
    summary: "What became of a close",
    permission: "desk:admin",
    body: batch(CloseBatchSchema),
    answers: { 200: { description: "In the order of the orders.", body: ClosedAnswerSchema } },
    problems: [],
    async handle({ body }) {
      return reply({ answers: await findSold(redis, partitions, body) });
    },
  });

  const PAGE = `must be the \`next\` of a page, below ${partitions.count}`;
  service.serve({
    method: "GET",
    path: "/v1/contracts",
    operationId: "listContracts",
    summary: "The contracts of a signal",
    permission: "desk:admin",
    query: v.object({
      bucket: id,
      after: v.optional(
        v.pipe(
          matching(/^\d{1,4}$/, PAGE),
          v.check((after) => Number(after) < partitions.count, PAGE),
        ),
        "0",
      ),
    }),
    answers: { 200: { description: "A page.", body: ContractsAnswerSchema } },
    problems: [],
    async handle({ query: { bucket, after } }) {
      return reply(await listContracts(redis, partitions, bucket, Number(after)));
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/payouts",
    operationId: "readPayouts",
    summary: "What a winning contract pays on top of its stake, in basis points",
    permission: "desk:admin",
    body: batch(PayoutsSchema),
    answers: { 200: { description: "In the order of the symbols.", body: ValuesAnswerSchema } },
    problems: [],
    handle: ({ body }) => reply({ answers: body.symbols.map(() => PAYOUT_BP) }),
  });
}
