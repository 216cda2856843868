/**
 * What every broker must do, run against each of them. The verdicts are read from
 * the broker's own books if a test can see them.
 */
import { describe, expect, test } from "bun:test";
import {
  asId,
  clientOrderId,
  signalIdIn,
  type AccountId,
  type SignalId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import { until } from "../../../tests/support/wait.ts";
import type {
  Broker,
  BrokerAnswer,
  CloseAnswer,
  CloseBatch,
  OrderBatch,
  Settlement,
} from "./port.ts";

export interface Venue {
  readonly broker: Broker;
  /** Makes a new account at each call, with this balance. */
  account(balanceCents: number): Promise<AccountId>;
  balanceOf(account: AccountId): Promise<number>;
}

export function conformance(name: string, start: () => Venue): void {
  const makeBatch = (
    account: AccountId,
    stakeCents: number,
    { count = 1, ...terms }: Partial<OrderBatch> & { count?: number } = {},
  ): OrderBatch => {
    const signal = signalIdIn(0, crypto.randomUUID().replaceAll("-", ""));
    return {
      symbol: "EUR/USD",
      contract: "CALL",
      durationSeconds: 1,
      validUntilMs: Date.now() + 5_000,
      shard: 0,
      orders: Array.from({ length: count }, (_, index) => {
        const subscription = asId<SubscriptionId>(`sub-${index}`);
        return {
          clientOrderId: clientOrderId(signal, subscription),
          subscription,
          account,
          stakeCents,
        };
      }),
      ...terms,
    };
  };

  const open = async (batch: OrderBatch): Promise<readonly BrokerAnswer[]> => {
    const reply = await start().broker.open(batch);
    if (reply.kind !== "answered") throw new Error(reply.kind);
    return reply.answers;
  };

  const makeClose = ({ symbol, shard, orders }: OrderBatch): CloseBatch => ({
    close: signalIdIn(0, crypto.randomUUID().replaceAll("-", "")),
    symbol,
    shard,
    orders,
  });

  const close = async (batch: CloseBatch): Promise<readonly CloseAnswer[]> => {
    const reply = await start().broker.close(batch);
    if (reply.kind !== "answered") throw new Error(reply.kind);
    return reply.answers;
  };

  describe(`broker conformance: ${name}`, () => {
    test("opens a contract at a price, takes the stake at once and says when it expires", async () => {
      const { account, balanceOf } = start();
      const mine = await account(1_000);
      const before = Date.now();
      const [placed] = await open(makeBatch(mine, 300));
      if (placed?.kind !== "placed") throw new Error(JSON.stringify(placed));
      expect(placed.stakeCents).toBe(300);
      expect(placed.openPriceMicros).toBeGreaterThan(0);
      expect(placed.openedAtMs).toBeGreaterThanOrEqual(before - 1_000);
      expect(placed.expiresAtMs).toBe(placed.openedAtMs + 1_000);
      expect(await balanceOf(mine)).toBe(700);
    });

    test("never opens twice for a client order id, however often and however concurrently it is sent", async () => {
      const { account, balanceOf } = start();
      const mine = await account(100_000);
      const batch = makeBatch(mine, 100, { count: 50, durationSeconds: 60 });
      const answers = await Promise.all(Array.from({ length: 8 }, () => open(batch)));
      for (const each of answers) expect(each).toEqual(answers[0] ?? []);
      expect(await balanceOf(mine)).toBe(100_000 - 50 * 100);
    });

    test("opens only what is new of a batch that was sent in part before", async () => {
      const { account, balanceOf } = start();
      const mine = await account(100_000);
      const batch = makeBatch(mine, 100, { count: 50, durationSeconds: 60 });
      const some = await open({ ...batch, orders: batch.orders.slice(10, 30) });
      const all = await open(batch);
      expect(all.slice(10, 30)).toEqual([...some]);
      expect(all.every(({ kind }) => kind === "placed")).toBe(true);
      expect(await open(batch)).toEqual([...all]);
      expect(await balanceOf(mine)).toBe(100_000 - 50 * 100);
    });

    test("takes one id twice in the same batch as one order", async () => {
      const { account, balanceOf } = start();
      const mine = await account(1_000);
      const batch = makeBatch(mine, 100, { durationSeconds: 60 });
      const [first, second] = await open({ ...batch, orders: [...batch.orders, ...batch.orders] });
      expect(second).toEqual(first as BrokerAnswer);
      expect(await balanceOf(mine)).toBe(900);
    });

    test("opens nothing after valid-until", async () => {
      const { account, balanceOf } = start();
      const mine = await account(1_000);
      const answers = await open(makeBatch(mine, 100, { validUntilMs: Date.now() - 1 }));
      expect(answers).toEqual([{ kind: "rejected", stakeCents: 100, reason: "PAST_VALID_UNTIL" }]);
      expect(await balanceOf(mine)).toBe(1_000);
    });

    test("refuses what the balance does not cover, one order at a time, and never goes below zero", async () => {
      const { account, balanceOf } = start();
      const mine = await account(250);
      const answers = await open(makeBatch(mine, 100, { count: 3, durationSeconds: 60 }));
      expect(answers.map(({ kind }) => kind)).toEqual(["placed", "placed", "rejected"]);
      expect(answers[2]).toEqual({ kind: "rejected", stakeCents: 100, reason: "BALANCE_TOO_LOW" });
      expect(await balanceOf(mine)).toBe(50);
    });

    test("refuses an account that it does not know", async () => {
      const [answer] = await open(makeBatch(asId<AccountId>("nobody"), 100));
      expect(answer).toMatchObject({ kind: "rejected", reason: "ACCOUNT_UNKNOWN" });
    });

    test("refuses a symbol without a fresh quote instead of making up a price", async () => {
      const mine = await start().account(1_000);
      const [answer] = await open(makeBatch(mine, 100, { symbol: "NO/QUOTE" }));
      expect(answer).toMatchObject({ kind: "rejected", reason: "QUOTE_STALE" });
    });

    test("answers a look-up with what was opened, `pending` before valid-until and `absent` after it", async () => {
      const { account, broker } = start();
      const mine = await account(1_000);
      const opened = makeBatch(mine, 100, { durationSeconds: 60 });
      const answers = await open(opened);
      expect(await broker.lookUp(opened)).toEqual({ kind: "answered", answers });
      const early = makeBatch(mine, 100);
      expect(await broker.lookUp(early)).toMatchObject({ answers: [{ kind: "pending" }] });
      const late = makeBatch(mine, 100, { validUntilMs: Date.now() - 1 });
      expect(await broker.lookUp(late)).toMatchObject({ answers: [{ kind: "absent" }] });
    });

    test("answers the free balance of each account in the order asked, and null for one that it does not know", async () => {
      const { account, broker } = start();
      const [rich, poor] = [await account(2_000), await account(10)];
      await open(makeBatch(rich, 500, { durationSeconds: 60 }));
      expect(await broker.balances([poor, asId<AccountId>("nobody"), rich, poor])).toEqual({
        kind: "answered",
        answers: [10, null, 1_500, 10],
      });
    });

    test("answers what a win pays, symbol by symbol", async () => {
      const reply = await start().broker.payoutsBp(["EUR/USD", "GBP/USD"]);
      if (reply.kind === "unanswered") throw new Error("unanswered");
      expect(reply.answers).toHaveLength(2);
      for (const payoutBp of reply.answers) expect(payoutBp).toBeGreaterThan(0);
    });

    test("lists all that its books hold of a signal, and nothing else", async () => {
      const { account, broker } = start();
      const mine = await account(10_000);
      const batch = makeBatch(mine, 100, { count: 30, durationSeconds: 60 });
      const signal = batch.orders[0]?.clientOrderId.split(".")[0] as SignalId;
      expect(await broker.list(signal)).toEqual({ kind: "answered", answers: [] });
      await open(makeBatch(mine, 100, { durationSeconds: 60 }));
      const answers = await open(batch);
      const listed = await broker.list(signal);
      if (listed.kind === "unanswered") throw new Error("unanswered");
      const byId = new Map(listed.answers.map((each) => [each.clientOrderId, each]));
      expect(listed.answers).toHaveLength(batch.orders.length);
      for (const [index, { clientOrderId: id }] of batch.orders.entries()) {
        const answer = answers[index];
        const openedAtMs = answer?.kind === "placed" ? answer.openedAtMs : -1;
        expect(byId.get(id)).toMatchObject({ account: mine, stakeCents: 100, openedAtMs });
      }
    });

    test("buys each position back once, however often and however concurrently the close is sent, and pays what it says", async () => {
      const { account, balanceOf, broker } = start();
      const mine = await account(10_000);
      const batch = makeBatch(mine, 100, { count: 20, durationSeconds: 60 });
      await open(batch);
      const closing = makeClose(batch);
      const found = await broker.findClosed(closing);
      expect(found).toEqual({
        kind: "answered",
        answers: batch.orders.map(() => ({ kind: "open" })),
      });
      const answers = await Promise.all(Array.from({ length: 8 }, () => close(closing)));
      for (const each of answers) expect(each).toEqual(answers[0] ?? []);
      let returned = 0;
      for (const each of answers[0] ?? []) {
        if (each.kind !== "closed") throw new Error(each.kind);
        expect(each.stakeCents).toBe(100);
        expect(each.closePriceMicros).toBeGreaterThan(0);
        returned += each.returnCents;
      }
      expect(await balanceOf(mine)).toBe(10_000 - 20 * 100 + returned);
      const answered: unknown = await broker.findClosed(closing);
      expect(answered).toEqual({ kind: "answered", answers: answers[0] });
      // For another close it is not open.
      const again = makeClose(batch);
      expect(new Set((await close(again)).map(({ kind }) => kind))).toEqual(new Set(["not-open"]));
      const sold = await broker.findClosed(again);
      if (sold.kind !== "answered") throw new Error(sold.kind);
      expect(new Set(sold.answers.map(({ kind }) => kind))).toEqual(new Set(["not-open"]));
      expect(await balanceOf(mine)).toBe(10_000 - 20 * 100 + returned);
    });

    test("buys back the named positions of a batch, and leaves the rest open", async () => {
      const { account, broker } = start();
      const mine = await account(10_000);
      const batch = makeBatch(mine, 100, { count: 6, durationSeconds: 60 });
      await open(batch);
      const some = { ...batch, orders: batch.orders.slice(2, 4) };
      expect((await close(makeClose(some))).map(({ kind }) => kind)).toEqual(["closed", "closed"]);
      const signal = batch.orders[0]?.clientOrderId.split(".")[0] as SignalId;
      const found = await broker.findClosed(makeClose(batch));
      if (found.kind !== "answered") throw new Error(found.kind);
      const kinds = found.answers.map(({ kind }): string => kind);
      expect(kinds).toEqual(["open", "open", "not-open", "not-open", "open", "open"]);
      // All of them are on its books, and none can be opened again.
      const listed = await broker.list(signal);
      expect(listed.kind === "answered" && listed.answers).toHaveLength(6);
      expect((await open(batch)).map(({ kind }) => kind)).toEqual(batch.orders.map(() => "placed"));
      expect(await broker.list(signal)).toMatchObject({ answers: { length: 6 } });
    });

    test("buys back nothing that was never opened, or has expired", async () => {
      const { account, balanceOf } = start();
      const mine = await account(1_000);
      const batch = makeBatch(mine, 100, { durationSeconds: 1 });
      expect(await close(makeClose(batch))).toEqual([{ kind: "not-open" }]);
      const [placed] = await open(batch);
      if (placed?.kind !== "placed") throw new Error("not placed");
      await until("it has expired", () => Date.now() > placed.expiresAtMs + 5);
      expect(await close(makeClose(batch))).toEqual([{ kind: "not-open" }]);
      await until("it has settled", async () =>
        [900, 1_000, 1_085].includes(await balanceOf(mine)),
      );
    });

    test("lists every settlement and every sale after the cursor, and pays out what it lists", async () => {
      const { account, balanceOf, broker } = start();
      const mine = await account(10_000);
      const batch = makeBatch(mine, 100, { count: 5, durationSeconds: 1 });
      await open(batch);
      await close(makeClose({ ...batch, orders: batch.orders.slice(0, 2) }));
      const told: Settlement[] = [];
      const mineOnly = new Map<string, Settlement>();
      let cursor = "";
      await until("all five are settled", async () => {
        const reply = await broker.settlements(cursor, new AbortController().signal);
        if (reply.kind === "unanswered") return false;
        cursor = reply.answers.next;
        for (const each of reply.answers.settlements) {
          if (each.account !== mine) continue;
          told.push(each);
          mineOnly.set(each.clientOrderId, each);
        }
        return mineOnly.size === 5;
      });
      const returned = [...mineOnly.values()].reduce((sum, each) => sum + each.returnCents, 0);
      expect(await balanceOf(mine)).toBe(10_000 - 500 + returned);
      expect(told).toHaveLength(5);
      expect(told.filter(({ kind }) => kind === "sold")).toHaveLength(2);
      expect([...mineOnly.keys()].toSorted()).toEqual(
        batch.orders.map((each) => each.clientOrderId as string).toSorted(),
      );
    });
  });
}
