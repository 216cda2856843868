import { expect, test } from "bun:test";
import type { Copy } from "../../../domain/copier/copy.ts";
import { makeCopy, makeSkippedCopy } from "../../../tests/support/copies.ts";
import { acceptedOpen, jobOf } from "../../../tests/support/signals.ts";
import { batchCopies } from "./batches.ts";

const SIGNAL = acceptedOpen();
const JOB = jobOf(SIGNAL, { shard: 7 });

const copy = (name: string, terms?: Copy["terms"], changes: Partial<Copy> = {}): Copy =>
  makeCopy(SIGNAL.id, name, { terms, ...changes });

test("copies on the signal's own terms are one batch, with or without caps", () => {
  const copies = [copy("a"), copy("b", undefined, { isReserved: true }), copy("c")];
  const [batch, ...more] = batchCopies(JOB, copies);
  expect(more).toEqual([]);
  expect(batch).toMatchObject({
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds: 60,
    shard: 7,
    validUntilMs: SIGNAL.deadlineMs,
  });
  // They are the same objects, so that outcomes are set on the copies.
  expect(batch?.orders.map((each, index) => each === copies[index])).toEqual([true, true, true]);
});

test("copies with another symbol, contract or end have their own batches", () => {
  const batches = batchCopies(JOB, [
    copy("a", { contract: "PUT" }),
    copy("b"),
    copy("c", { symbol: "EURUSD" }),
    copy("d", { contract: "PUT" }, { isReserved: true }),
    copy("e", { validUntilMs: 400 }),
    copy("f"),
  ]);
  expect(
    batches.map(({ symbol, contract, validUntilMs, orders }) => [
      symbol,
      contract,
      validUntilMs,
      orders.map(({ subscription }) => String(subscription)).join(" "),
    ]),
  ).toEqual([
    ["EUR/USD", "PUT", SIGNAL.deadlineMs, "a d"],
    ["EUR/USD", "CALL", SIGNAL.deadlineMs, "b f"],
    ["EURUSD", "CALL", SIGNAL.deadlineMs, "c"],
    ["EUR/USD", "CALL", 400, "e"],
  ]);
});

test("a copy that may only be asked about is in no batch that may be sent, on any terms (P2)", () => {
  const asked = { state: "ask-only", reason: "LEFT" } as const;
  const renamed = { symbol: "EURUSD" };
  const batches = batchCopies(JOB, [
    copy("a"),
    copy("b", undefined, asked),
    copy("c", renamed),
    copy("d", renamed, asked),
  ]);
  const names = batches.map(({ orders }) => orders.map(({ subscription }) => String(subscription)));
  expect(names).toEqual([["a"], ["b"], ["c"], ["d"]]);
});

test("a skipped copy is in no batch, and a job with only skipped copies has none", () => {
  expect(batchCopies(JOB, [makeSkippedCopy(SIGNAL.id, "a", "PAUSED")])).toEqual([]);
  expect(batchCopies(JOB, [])).toEqual([]);
});
