import { expect, test } from "bun:test";
import { noPosition, type Order, type Position } from "./account.ts";
import { summaryOf, type AccountChange } from "./summary.ts";

const NOW = { atMs: 100_000, pendingValidMs: 60_000 };

const summary = (
  positions: Readonly<Record<string, Partial<Position>>>,
  orders: { readonly buys?: Order[]; readonly sells?: Order[] } = {},
  history: readonly AccountChange[] = [],
) =>
  summaryOf(
    {
      buys: orders.buys ?? [],
      sells: orders.sells ?? [],
      history,
      positions: Object.entries(positions).map(([symbol, held]) => ({
        symbol,
        position: { ...noPosition(), ...held },
      })),
    },
    NOW,
  );

test("holdings are the free and reserved shares, in the order of their first trade", () => {
  const { holdings } = summary({
    S: { shares: 1 },
    ABC: { reservedShares: 2 },
    GONE: {},
    XYZ: { shares: 3, reservedShares: 4 },
  });
  expect(holdings).toEqual([
    { symbol: "S", shares: 1, reservedShares: 0 },
    { symbol: "ABC", shares: 0, reservedShares: 2 },
    { symbol: "XYZ", shares: 3, reservedShares: 4 },
  ]);
});

test("the reserved money is the sum of all buy amounts, with or without a trigger", () => {
  const { reservedCents, buyTriggers } = summary({
    S: { buyCents: 300 },
    ABC: { buyCents: 200, buyPriceCents: 5 },
  });
  expect(reservedCents).toBe(500);
  expect(buyTriggers).toEqual([
    { symbol: "S", amountCents: 300, priceCents: null },
    { symbol: "ABC", amountCents: 200, priceCents: 5 },
  ]);
});

test("a sell trigger shows the shares reserved for it; a sell amount reserves no money", () => {
  const shown = summary({
    S: { sellCents: 300, shares: 9 },
    ABC: { sellCents: 200, sellPriceCents: 50, reservedShares: 4 },
  });
  expect(shown.sellTriggers).toEqual([
    { symbol: "S", amountCents: 300, priceCents: null, shares: 0 },
    { symbol: "ABC", amountCents: 200, priceCents: 50, shares: 4 },
  ]);
  expect(shown).toMatchObject({ reservedCents: 0, buyTriggers: [] });
});

test("pending orders are shown newest first, until they expire", () => {
  const order = (symbol: string, ageMs: number): Order => ({
    symbol,
    shares: 2,
    priceCents: 7,
    atMs: NOW.atMs - ageMs,
  });
  const orders = [order("A", 0), order("B", 59_999), order("C", 60_000)];
  const { pendingBuys, pendingSells } = summary({}, { buys: orders, sells: orders.slice(1) });
  expect(pendingBuys).toEqual([
    { symbol: "A", shares: 2, priceCents: 7, expiresAtMs: 160_000 },
    { symbol: "B", shares: 2, priceCents: 7, expiresAtMs: 100_001 },
  ]);
  expect(pendingSells.map(({ symbol }) => symbol)).toEqual(["B"]);
});

test("an empty account has an empty summary", () => {
  expect(summary({})).toEqual({
    reservedCents: 0,
    holdings: [],
    pendingBuys: [],
    pendingSells: [],
    buyTriggers: [],
    sellTriggers: [],
    history: [],
  });
});
