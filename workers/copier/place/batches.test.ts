import { expect, test } from "bun:test";
import { asId, signalIdIn, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { IntendedOrder, Intents } from "../stored/intents.ts";
import type { Job } from "../../../redis/job.ts";
import { batchesOf, inOrder } from "./batches.ts";

const job = {
  signal: {
    id: signalIdIn(0, "0".repeat(32)),
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds: 60,
    deadlineMs: 1_000,
  },
} as Job;

const order = (name: string, terms?: IntendedOrder[3]): IntendedOrder => {
  const plain = [asId<SubscriptionId>(name), asId<AccountId>(`acct-${name}`), 100] as const;
  return terms ? [...plain, terms] : plain;
};

const intentsOf = (...orders: IntendedOrder[]): Intents => ({ decidedAtMs: 1, orders, skips: [] });

test("orders on the signal's own terms are one batch, with or without caps", () => {
  const batches = batchesOf(job, intentsOf(order("a"), order("b", { reserved: true }), order("c")));
  expect(batches).toHaveLength(1);
  expect(batches[0]).toMatchObject({
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds: 60,
    validUntilMs: 1_000,
    orders: [{ subscription: "a" }, { subscription: "b" }, { subscription: "c" }],
  });
});

test("orders of another symbol, contract or end are batches of their own, and answers find their way back", () => {
  const intents = intentsOf(
    order("a", { contract: "PUT" }),
    order("b"),
    order("c", { symbol: "EURUSD" }),
    order("d", { contract: "PUT", reserved: true }),
    order("e", { validUntilMs: 400 }),
    order("f"),
  );
  const batches = batchesOf(job, intents);
  const names = batches.map(({ orders }) => orders.map(({ subscription }) => String(subscription)));
  expect(names).toEqual([["a", "d"], ["b", "f"], ["c"], ["e"]]);
  expect(
    batches.map(({ symbol, contract, validUntilMs }) => [symbol, contract, validUntilMs]),
  ).toEqual([
    ["EUR/USD", "PUT", 1_000],
    ["EUR/USD", "CALL", 1_000],
    ["EURUSD", "CALL", 1_000],
    ["EUR/USD", "CALL", 400],
  ]);
  expect(inOrder(intents, batches, names)).toEqual(["a", "b", "c", "d", "e", "f"]);
  // A batch whose broker did not answer.
  expect(inOrder(intents, batches, [["a", "d"], [], ["c"], ["e"]])).toEqual([
    "a",
    undefined,
    "c",
    "d",
    "e",
    undefined,
  ]);
});

test("a job without orders has no batch", () => {
  expect(batchesOf(job, intentsOf())).toEqual([]);
});
