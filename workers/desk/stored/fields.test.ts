import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_HELD, noPosition, type Order, type Position } from "../../../domain/desk/account.ts";
import type { AccountChange } from "../../../domain/desk/summary.ts";
import {
  packChange,
  packOrders,
  packPosition,
  packTrigger,
  parseHistory,
  parseOrders,
  parsePosition,
  SHOWN_HISTORY,
} from "./fields.ts";

const symbol = fc.stringMatching(/^[A-Z]{1,3}$/);
const whole = fc.integer({ min: 0, max: MAX_HELD });
const positive = fc.integer({ min: 1, max: MAX_HELD });
const time = fc.integer({ min: 1, max: 2_000_000_000_000 });

describe("a position", () => {
  test("is read as it was written, with free shares alone and with everything set", () => {
    const none = fc.constant(0);
    const side = fc.oneof(
      fc.tuple(none, none, none),
      fc.tuple(positive, none, none),
      fc.tuple(positive, positive, positive),
    );
    fc.assert(
      fc.property(whole, whole, side, side, (shares, reserved, buy, sell) => {
        const [buyCents, buyPriceCents, buyTransaction] = buy;
        const [sellCents, sellPriceCents, sellTransaction] = sell;
        const position: Position = {
          shares,
          reservedShares: sellCents > 0 ? reserved : 0,
          buyCents,
          buyPriceCents,
          buyTransaction,
          sellCents,
          sellPriceCents,
          sellTransaction,
        };
        expect(parsePosition(packPosition(position))).toEqual(position);
      }),
    );
  });

  test("that has no field is empty", () => {
    expect(parsePosition("")).toEqual(noPosition());
  });
});

test("pending orders are read as they were written, in their order", () => {
  const order: fc.Arbitrary<Order> = fc.record({
    symbol,
    shares: positive,
    priceCents: positive,
    atMs: time,
  });
  fc.assert(
    fc.property(fc.array(order, { maxLength: 100 }), (orders) => {
      const text = packOrders(orders.map((each) => ({ ...each })));
      expect(parseOrders(text)).toEqual(orders);
    }),
  );
});

test("a history is read as it was written, as far as it is shown", () => {
  const names = [
    "ADD",
    "COMMIT_BUY",
    "COMMIT_SELL",
    "SET_BUY_AMOUNT",
    "SET_BUY_TRIGGER",
    "BOUGHT",
    "CANCEL_SET_BUY",
    "SET_SELL_AMOUNT",
    "SET_SELL_TRIGGER",
    "CANCEL_SET_SELL",
    "SOLD",
  ];
  const change: fc.Arbitrary<AccountChange> = fc.record({
    transaction: positive,
    command: fc.constantFrom(...names),
    symbol: fc.option(symbol),
    cents: whole,
    shares: whole,
    atMs: time,
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      const text = changes.map(packChange).join("");
      expect(parseHistory(text)).toEqual(changes.slice(0, SHOWN_HISTORY));
    }),
  );
});

test("triggers are ordered by symbol, and then by price, for prices of any length", () => {
  const trigger = fc.tuple(symbol, fc.integer({ min: 1, max: 1_000_000_000_000 }));
  fc.assert(
    fc.property(trigger, trigger, ([oneSymbol, onePrice], [otherSymbol, otherPrice]) => {
      const [one, other] = [
        packTrigger(oneSymbol, onePrice, "z"),
        packTrigger(otherSymbol, otherPrice, "z"),
      ];
      const isBefore = oneSymbol === otherSymbol ? onePrice < otherPrice : oneSymbol < otherSymbol;
      expect(one < other).toBe(isBefore);
    }),
  );
});
