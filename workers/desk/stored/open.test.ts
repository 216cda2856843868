import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BUCKET,
  contractDesk,
  DESK,
  type ContractDesk,
  type OrderRow,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { BOOKS_KEPT_MS, findContracts, QUOTE_VALID_MS } from "./books.ts";
import type { OpenReply, Opened } from "./open.ts";

const PRICE = 1_084_230;

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
  await desk.deposit({ x: 1_000, y: 500 });
  await desk.quote(PRICE);
});

function each(reply: OpenReply): readonly Opened[] {
  if (reply.kind !== "each") throw new Error("all were opened by this call");
  return reply.opened;
}

const kinds = (reply: OpenReply) =>
  each(reply).map((opened) => (opened.kind === "opened" ? "opened" : opened.reason));

async function unchanged(call: () => Promise<OpenReply>): Promise<OpenReply> {
  const before = await redis.everything();
  const reply = await call();
  expect(await redis.everything()).toEqual(before);
  return reply;
}

describe("a batch of orders", () => {
  test("opens at the newest quote, by Redis' clock, and takes the stakes in the same step", async () => {
    const beforeMs = await redis.nowMs();
    const reply = await desk.open([
      ["a", "x", 100],
      ["b", "y", 500],
    ]);
    if (reply.kind !== "all-opened") throw new Error("not all were opened");
    const { openPriceMicros, openedAtMs, expiresAtMs } = reply.terms;
    expect(openPriceMicros).toBe(PRICE);
    expect(openedAtMs).toBeGreaterThanOrEqual(beforeMs);
    expect(expiresAtMs).toBe(openedAtMs + 60_000);
    expect(await desk.balances()).toEqual({ x: 900, y: 0 });
    expect(await desk.contracts()).toMatchObject([
      {
        clientOrderId: `${BUCKET}.a`,
        account: "x",
        stakeCents: 100,
        state: "open",
        payoutBp: 8_500,
      },
      { clientOrderId: `${BUCKET}.b`, account: "y", stakeCents: 500, contract: "CALL" },
    ]);
  });

  test("waits for its expiry, and remains on the books for a week after it", async () => {
    const reply = await desk.open([["a", "x", 100]]);
    if (reply.kind !== "all-opened") throw new Error("not all were opened");
    const [[name, at] = []] = (await redis.send(
      ...(["ZRANGE", DESK.expiries, "0", "-1", "WITHSCORES"] as const),
    )) as [string, number][];
    expect(name).toContain(BUCKET);
    expect(at).toBe(reply.terms.expiresAtMs);
    expect(Number(await redis.send("PTTL", DESK.contracts(BUCKET)))).toBeGreaterThan(BOOKS_KEPT_MS);
  });

  test("is one transaction of the audit, which contains each stake and the new balances", async () => {
    await desk.open([
      ["a", "x", 100],
      ["b", "x", 50],
      ["c", "y", 10],
    ]);
    const entries = await desk.audit();
    const entry = entries.at(-1);
    expect(entry?.changed.get("balances")?.split("\n").toSorted()).toEqual(
      ["x", "850", "y", "490"].toSorted(),
    );
    const events = (await desk.events()).slice(2);
    expect(new Set(events.map(({ transaction }) => transaction)).size).toBe(1);
    expect(events).toMatchObject([
      { name: "STAKE", id: `${BUCKET}.a`, user: "x", movedCents: [-100] },
      { name: "STAKE", id: `${BUCKET}.b`, user: "x", movedCents: [-50] },
      { name: "STAKE", id: `${BUCKET}.c`, user: "y", movedCents: [-10] },
    ]);
  });
});

describe("an order that is sent again", () => {
  test("is answered with what it opened, at its first terms, and opens nothing (P2)", async () => {
    const rows: readonly OrderRow[] = [
      ["a", "x", 100],
      ["b", "y", 50],
    ];
    const first = await desk.open(rows);
    if (first.kind !== "all-opened") throw new Error("not all were opened");
    await desk.quote(PRICE + 1);
    const again = await unchanged(() => desk.open(rows));
    expect(each(again)).toEqual([
      { kind: "opened", stakeCents: 100, terms: first.terms },
      { kind: "opened", stakeCents: 50, terms: first.terms },
    ]);
  });

  test("among new ones is found, and the new ones are opened: each once", async () => {
    const first = await desk.open([["a", "x", 100]]);
    await desk.quote(PRICE + 1);
    const second = each(
      await desk.open([
        ["b", "x", 50],
        ["a", "x", 100],
      ]),
    );
    expect(second).toMatchObject([
      { kind: "opened", stakeCents: 50, terms: { openPriceMicros: PRICE + 1 } },
      { kind: "opened", stakeCents: 100, terms: first.kind === "all-opened" ? first.terms : {} },
    ]);
    expect(await desk.balances()).toMatchObject({ x: 850 });
    expect(await desk.contracts()).toHaveLength(2);
  });

  test("is found even if it would be refused now: it is open", async () => {
    await desk.open([["a", "y", 500]]);
    const validUntilMs = (await redis.nowMs()) - 1;
    expect(kinds(await unchanged(() => desk.open([["a", "y", 500]], { validUntilMs })))).toEqual([
      "opened",
    ]);
  });

  test("can be looked up, and an order that was never opened is reported as absent", async () => {
    await desk.open([["a", "x", 100]]);
    const ask = { partition: 1, bucket: BUCKET, shard: 0, names: ["a", "b"] };
    const { nowMs, found } = await redis.run(findContracts, ask);
    expect(found).toMatchObject([{ account: "x", stakeCents: 100 }, undefined]);
    expect(nowMs).toBeLessThanOrEqual(await redis.nowMs());
    expect((await redis.run(findContracts, { ...ask, shard: 1 })).found[0]).toBeUndefined();
  });
});

describe("an order is refused, and nothing is stored of it, if", () => {
  const refused = async (rows: readonly OrderRow[], changes = {}) =>
    kinds(await unchanged(() => desk.open(rows, changes)));

  test("its account is unknown", async () => {
    expect(await refused([["a", "nobody", 1]])).toEqual(["ACCOUNT_UNKNOWN"]);
  });

  test("its account does not cover the stake", async () => {
    expect(await refused([["a", "y", 501]])).toEqual(["BALANCE_TOO_LOW"]);
  });

  test("it comes after its deadline (P3)", async () => {
    const validUntilMs = (await redis.nowMs()) - 1;
    expect(await refused([["a", "x", 1]], { validUntilMs })).toEqual(["PAST_VALID_UNTIL"]);
  });

  test("there is no quote, or none that is young enough", async () => {
    expect(await refused([["a", "x", 1]], { symbol: "GBP/USD" })).toEqual(["QUOTE_STALE"]);
    await desk.quote(PRICE, QUOTE_VALID_MS + 1);
    expect(await refused([["a", "x", 1]])).toEqual(["QUOTE_STALE"]);
    await desk.quote(PRICE, QUOTE_VALID_MS / 2);
    expect(await desk.open([["a", "x", 1]])).toMatchObject({ kind: "all-opened" });
  });

  test("the orders before it in its batch took its account's money", async () => {
    const reply = await desk.open([
      ["a", "x", 600],
      ["b", "nobody", 1],
      ["c", "x", 500],
      ["d", "x", 400],
    ]);
    expect(kinds(reply)).toEqual(["opened", "ACCOUNT_UNKNOWN", "BALANCE_TOO_LOW", "opened"]);
    expect(await desk.balances()).toEqual({ x: 0, y: 500 });
    expect((await desk.contracts()).map(({ clientOrderId }) => String(clientOrderId))).toEqual([
      `${BUCKET}.a`,
      `${BUCKET}.d`,
    ]);
  });
});

test("no cent is lost or created, no account is overdrawn and no order opened twice, in any sequence", async () => {
  const row = fc.tuple(
    fc.constantFrom("a", "b", "c", "d", "e"),
    fc.constantFrom("x", "y", "z"),
    fc.integer({ min: 1, max: 700 }),
  );
  const batch = fc.uniqueArray(row, { selector: ([name]) => name, minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { maxLength: 6 }), async (batches) => {
      await redis.clear();
      await desk.deposit({ x: 1_000, y: 500 });
      await desk.quote(PRICE);
      for (const rows of batches) await desk.open(rows);
      const contracts = await desk.contracts();
      expect(new Set(contracts.map(({ clientOrderId }) => clientOrderId)).size).toBe(
        contracts.length,
      );
      const { x = 0, y = 0 } = await desk.balances();
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
      const staked = contracts.reduce((sum, { stakeCents }) => sum + stakeCents, 0);
      expect(x + y + staked).toBe(1_500);
      const moved = (await desk.events()).flatMap((event) =>
        "movedCents" in event ? event.movedCents : [],
      );
      expect(moved.reduce((sum, cents) => sum + cents, 0)).toBe(x + y);
    }),
    { numRuns: 40 },
  );
});
