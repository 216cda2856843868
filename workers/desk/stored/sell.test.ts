import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { saleCents } from "../../../tests/support/contract-model.ts";
import { MAX_AMOUNT_CENTS } from "../../../domain/money.ts";
import { CONTRACT_TYPES } from "../../../domain/products/binary.ts";
import {
  BUCKET,
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { QUOTE_VALID_MS, type Contract } from "./books.ts";
import { sellContracts } from "./sell.ts";
import type { SettledContract } from "./settle.ts";

const PRICE = 1_000_000;
const CLOSE = signalIdOf(2);

let redis: ScriptRedis;
let desk: ContractDesk;
beforeAll(async () => {
  redis = await startScriptRedis();
  desk = contractDesk(redis);
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await desk.deposit({ x: 10_000, y: 10_000 });
  await desk.quote(PRICE);
});

const sell = async (...names: string[]) => {
  const orders = { bucket: BUCKET, shard: 0, names };
  return (await redis.run(sellContracts, { ...DESK_CALL, close: CLOSE, orders })).contracts;
};

const states = (contracts: readonly (Contract | undefined)[]) =>
  contracts.map((contract) => contract?.state);

/** The price of a sold contract by the house's rule. */
function wanted({ terms, sale, contract, ...rest }: Contract): number {
  if (!sale) throw new Error("not sold");
  const { openPriceMicros, openedAtMs, expiresAtMs } = terms;
  const isInTheMoney =
    contract === "CALL"
      ? sale.closePriceMicros > openPriceMicros
      : sale.closePriceMicros < openPriceMicros;
  return saleCents(rest, isInTheMoney, expiresAtMs - sale.closedAtMs, expiresAtMs - openedAtMs);
}

/** Moves the times of what was opened this far into the past. */
async function age(byMs: number): Promise<void> {
  const key = DESK.contracts(BUCKET);
  for (const [field, text] of Object.entries(await redis.hash(key))) {
    const [head = "", orders = ""] = text.split("|");
    const parts = head.split(",");
    for (const index of [4, 5]) parts[index] = String(Number(parts[index]) - Math.floor(byMs));
    await redis.send("HSET", key, field, `${parts.join(",")}|${orders}`);
  }
}

describe("a contract that is sold back", () => {
  test("returns what the house's rule says, to the cent, for every amount, payout and time", async () => {
    const order = fc.record({
      stakeCents: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(MAX_AMOUNT_CENTS - 1)),
      payoutBp: fc.integer({ min: 1, max: 20_000 }),
      contract: fc.constantFrom(...CONTRACT_TYPES),
      movesBy: fc.constantFrom(-1, 0, 1),
      durationMs: fc.constantFrom(7_919_000, 86_400_000),
      /** The elapsed share of its duration, roughly. */
      share: fc.double({ min: 0, max: 0.99, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(order, async ({ stakeCents, movesBy, share, ...terms }) => {
        await redis.clear();
        await desk.deposit({ x: stakeCents });
        await desk.quote(PRICE, 1);
        await desk.open([["a", "x", stakeCents]], terms);
        await age(share * terms.durationMs);
        await desk.quote(PRICE + movesBy);
        const [sold] = await sell("a");
        if (!sold) throw new Error("not on the books");
        expect(sold.sale?.returnCents).toBe(wanted(sold));
        expect(await desk.balances()).toEqual({ x: wanted(sold) });
      }),
      { numRuns: 60 },
    );
  });

  test("is sold once: a repeated close returns the same sale, and pays nothing", async () => {
    await desk.open([["a", "x", 100]]);
    const first = await sell("a");
    expect(first[0]?.sale).toMatchObject({ close: CLOSE, closePriceMicros: PRICE });
    const before = await redis.everything();
    expect(await sell("a")).toEqual(first);
    expect(await redis.everything()).toEqual(before);
  });

  test("leaves the others of its batch open, and nothing to settle if it was the last", async () => {
    await desk.open([
      ["a", "x", 100],
      ["b", "y", 200],
    ]);
    expect(states(await sell("a", "none"))).toEqual(["sold", undefined]);
    expect(await redis.send("ZCARD", DESK.expiries)).toBe(1);
    expect(await desk.balances()).toMatchObject({ y: 9_800 });
    expect(states(await sell("a", "b"))).toEqual(["sold", "sold"]);
    expect(await redis.send("ZCARD", DESK.expiries)).toBe(0);
    expect(await desk.contracts()).toHaveLength(2);
  });

  test("is found in every batch of its shard", async () => {
    await desk.open([["a", "x", 100]]);
    await desk.open([["b", "x", 100]]);
    expect(states(await sell("b", "a"))).toEqual(["sold", "sold"]);
  });

  test("can still be sold after others of its batch were", async () => {
    await desk.open([
      ["a", "x", 100],
      ["b", "x", 100],
      ["c", "x", 100],
    ]);
    for (const name of ["b", "a", "c"]) expect(states(await sell(name))).toEqual(["sold"]);
    const { x } = await desk.balances();
    const sales = (await desk.contracts()).map(({ sale }) => sale?.returnCents ?? 0);
    expect(x).toBe(9_700 + sales.reduce((sum, cents) => sum + cents, 0));
  });

  test("is audited with its return and reported to those who follow settlements, in the same step", async () => {
    await desk.open([["a", "x", 100]]);
    const [sold] = await sell("a");
    expect((await desk.events()).at(-1)).toMatchObject({
      kind: "account",
      name: "RETURN",
      id: `${BUCKET}.a`,
      user: "x",
      movedCents: [sold?.sale?.returnCents],
    });
    const [entry] = await redis.entries(DESK.settlements);
    const settled = JSON.parse(entry?.get("settled") ?? "") as SettledContract[];
    expect(settled.map((each) => [...each] as unknown[])).toEqual([
      [`${BUCKET}.a`, "x", "sold", sold?.sale?.returnCents],
    ]);
    expect(entry?.get("closePriceMicros")).toBe(String(PRICE));
  });
});

describe("a contract remains open, and nothing changes, if", () => {
  const stays = async () => {
    const before = await redis.everything();
    const found = states(await sell("a"));
    expect(await redis.everything()).toEqual(before);
    return found;
  };

  test("there is no quote that is young enough", async () => {
    await desk.open([["a", "x", 100]]);
    await redis.send("DEL", DESK.quotes);
    expect(await stays()).toEqual(["open"]);
    await desk.quote(PRICE, QUOTE_VALID_MS + 1);
    expect(await stays()).toEqual(["open"]);
  });

  test("it has expired: it settles", async () => {
    await desk.open([["a", "x", 100]], { durationMs: 0 });
    expect(await stays()).toEqual(["open"]);
  });
});
