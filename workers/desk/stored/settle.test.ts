import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { returnCents, settle } from "../../../tests/support/contract-model.ts";
import { MAX_AMOUNT_CENTS } from "../../../domain/money.ts";
import { CONTRACT_TYPES, type ContractType } from "../../../domain/products/binary.ts";
import {
  BUCKET,
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
  type OrderRow,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { sellContracts } from "./sell.ts";
import { settleBatch, VOID_AFTER_MS, type SettledContract } from "./settle.ts";

const OPEN_PRICE = 1_000_000;

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
});

interface How {
  readonly contract?: ContractType;
  readonly payoutBp?: number;
  /** How long ago it expired. */
  readonly agoMs?: number;
}

/**
 * Opens orders that expired this long ago. Returns their name among the expiries, and when
 * they expired.
 */
async function expired(rows: readonly OrderRow[], { agoMs = 1_000, ...terms }: How = {}) {
  await desk.quote(OPEN_PRICE);
  await desk.open(rows, terms);
  const [name = ""] = (await redis.send("ZRANGE", DESK.expiries, "0", "-1")) as string[];
  const expiredAtMs = (await redis.nowMs()) - agoMs;
  await redis.send("ZADD", DESK.expiries, String(expiredAtMs), name);
  await redis.send("DEL", DESK.ticks("EUR/USD"));
  return { name, expiredAtMs };
}

const tick = (atMs: number, priceMicros: number) =>
  redis.send("ZADD", DESK.ticks("EUR/USD"), String(atMs), `${atMs},${priceMicros}`);

const settleOne = (name: string) => redis.run(settleBatch, { ...DESK_CALL, name });

const states = async () => (await desk.contracts()).map(({ state }) => state);

describe("contracts that were opened together", () => {
  test("settle together, at the first quote at or after their expiry, each into its own account", async () => {
    const { name, expiredAtMs } = await expired([
      ["a", "x", 100],
      ["b", "y", 200],
      ["c", "x", 300],
    ]);
    await tick(expiredAtMs - 1, OPEN_PRICE - 1);
    await tick(expiredAtMs + 500, OPEN_PRICE - 1);
    await tick(expiredAtMs, OPEN_PRICE + 1);
    expect(await settleOne(name)).toBe(3);
    expect(await states()).toEqual(["won", "won", "won"]);
    expect(await desk.balances()).toEqual({ x: 10_000 - 400 + 740, y: 10_000 - 200 + 370 });
  });

  test("settle once", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]]);
    await tick(expiredAtMs, OPEN_PRICE + 1);
    await settleOne(name);
    const before = await redis.everything();
    expect(await settleOne(name)).toBe(0);
    expect(await redis.everything()).toEqual(before);
    expect(await redis.send("ZCARD", DESK.expiries)).toBe(0);
  });

  test("do not settle before their expiry, with any quotes", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]], { agoMs: -60_000 });
    await tick(expiredAtMs, OPEN_PRICE + 1);
    expect(await settleOne(name)).toBe(0);
    expect(await states()).toEqual(["open"]);
    expect(await redis.send("ZCARD", DESK.expiries)).toBe(1);
  });

  test("wait for a quote at or after their expiry", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]]);
    await tick(expiredAtMs - 1, OPEN_PRICE + 1);
    const before = await redis.everything();
    expect(await settleOne(name)).toBe("waiting");
    expect(await redis.everything()).toEqual(before);
  });

  test("are void, and their stakes are returned, if no quote came in a minute", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]], { agoMs: VOID_AFTER_MS });
    await tick(expiredAtMs + VOID_AFTER_MS + 1, OPEN_PRICE + 1);
    expect(await settleOne(name)).toBe(1);
    expect(await states()).toEqual(["void"]);
    expect(await desk.balances()).toMatchObject({ x: 10_000 });
  });

  test("settle at a quote of that minute even after the minute", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]], { agoMs: 2 * VOID_AFTER_MS });
    await tick(expiredAtMs + VOID_AFTER_MS, OPEN_PRICE + 1);
    await settleOne(name);
    expect(await states()).toEqual(["won"]);
  });

  test("settle alike on every server if two quotes have one time", async () => {
    const outcomes = new Set<string>();
    for (const prices of [
      [999_999, 1_000_001],
      [1_000_001, 999_999],
    ]) {
      await redis.clear();
      await desk.deposit({ x: 10_000 });
      const { name, expiredAtMs } = await expired([["a", "x", 100]]);
      for (const price of prices) await tick(expiredAtMs, price);
      await settleOne(name);
      outcomes.add((await states()).join());
    }
    expect(outcomes.size).toBe(1);
  });

  test("are audited with their returns, and reported to those who follow settlements, losses too", async () => {
    const { name, expiredAtMs } = await expired([["a", "x", 100]]);
    await tick(expiredAtMs, OPEN_PRICE);
    await settleOne(name);
    const entry = (await desk.audit()).at(-1);
    expect(entry?.closePriceMicros).toBe(String(OPEN_PRICE));
    expect(entry?.contracts).toContain("lost,CALL");
    const [settled] = await redis.entries(DESK.settlements);
    const rows = JSON.parse(settled?.get("settled") ?? "") as SettledContract[];
    expect(rows.map((each) => [...each] as unknown[])).toEqual([[`${BUCKET}.a`, "x", "lost", 0]]);
  });
});

test("each ends and returns as the rule says, to the cent", async () => {
  const order = fc.record({
    stakeCents: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(MAX_AMOUNT_CENTS - 1)),
    payoutBp: fc.integer({ min: 1, max: 20_000 }),
    contract: fc.constantFrom(...CONTRACT_TYPES),
    movesBy: fc.constantFrom(-1, 0, 1),
  });
  await fc.assert(
    fc.asyncProperty(order, async ({ stakeCents, movesBy, ...terms }) => {
      await redis.clear();
      await desk.deposit({ x: stakeCents });
      const { name, expiredAtMs } = await expired([["a", "x", stakeCents]], terms);
      await tick(expiredAtMs, OPEN_PRICE + movesBy);
      await settleOne(name);
      const kind = settle(terms.contract, OPEN_PRICE, OPEN_PRICE + movesBy);
      expect(await states()).toEqual([kind]);
      expect(await desk.balances()).toEqual({ x: returnCents(kind, stakeCents, terms.payoutBp) });
    }),
    { numRuns: 60 },
  );
});

test("a contract that was sold back is not settled as well, and the rest of its batch is", async () => {
  await desk.quote(OPEN_PRICE);
  await desk.open([
    ["a", "x", 100],
    ["b", "y", 100],
  ]);
  const orders = { bucket: BUCKET, shard: 0, names: ["a"] };
  await redis.run(sellContracts, { ...DESK_CALL, close: signalIdOf(2), orders });
  const [name = ""] = (await redis.send("ZRANGE", DESK.expiries, "0", "-1")) as string[];
  const { x } = await desk.balances();
  await redis.send("ZADD", DESK.expiries, String((await redis.nowMs()) - VOID_AFTER_MS), name);
  await redis.send("DEL", DESK.ticks("EUR/USD"));
  expect(await settleOne(name)).toBe(1);
  expect((await states()).toSorted()).toEqual(["sold", "void"]);
  expect(await desk.balances()).toEqual({ x: x ?? 0, y: 10_000 });
});
