import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { returnCents, saleCents, settle } from "../../../../tests/support/contract-model.ts";
import { asId, type AccountId, type SignalId } from "../../../../domain/ids.ts";
import { parseBucket } from "../../../desk/stored/books.ts";
import { openContracts } from "../../../desk/stored/open.ts";
import { sellContracts } from "../../../desk/stored/sell.ts";
import { settleBatch } from "../../../desk/stored/settle.ts";
import { PartitionMap } from "../../../../redis/keys.ts";
import { DeskKeys } from "../../../desk/stored/keys.ts";
import { startDesk, type TestDesk } from "../../../../tests/support/desk.ts";
import { clear, startRedis } from "../../../../tests/support/redis.ts";
import { until } from "../../../../tests/support/wait.ts";
import { connectRedis } from "../../../runtime/redis-client.ts";
import { run } from "../../../runtime/redis.ts";
import { conformance } from "../conformance.ts";
import { connectDesk } from "./desk.ts";

/** The caller that the scripts see. */
const CALL = { partitions: 4, server: "test" };

let desk: TestDesk;

beforeAll(async () => {
  desk = await startDesk();
}, 30_000);
afterAll(async () => {
  await desk.stop();
});

conformance("desk", () => ({
  broker: desk.broker,
  async account(balanceCents) {
    const account = asId<AccountId>(crypto.randomUUID());
    await desk.deposit([account], balanceCents);
    return account;
  },
  balanceOf: (account) => desk.balanceOf(account),
}));

describe("desk", () => {
  const post = (path: string, body: string, token = desk.token) =>
    fetch(`${desk.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body,
    });

  test("is unanswered behind a wrong token or a dead address", async () => {
    const batch = {
      symbol: "EUR/USD",
      contract: "CALL" as const,
      durationSeconds: 1,
      validUntilMs: Date.now() + 1_000,
      shard: 0,
      orders: [],
    };
    const wrong = connectDesk(desk.url, "not the token");
    expect(await wrong.open(batch)).toEqual({ kind: "unanswered" });
    const dead = connectDesk("http://127.0.0.1:9", desk.token);
    expect(await dead.open(batch)).toEqual({ kind: "unanswered" });
  });

  test("answers bad input with a problem and changes nothing", async () => {
    const account = crypto.randomUUID();
    await desk.deposit([account], 1_000);
    const orders = { bucket: "a", shard: 0, names: ["b"], accounts: [account], stakesCents: [100] };
    const batch = {
      symbol: "EUR/USD",
      contract: "CALL",
      durationSeconds: 1,
      validUntilMs: Date.now() + 1_000,
      orders,
    };
    const bad = [
      ["{", 400, "BODY_MALFORMED"],
      [JSON.stringify({ ...batch, contract: "UP" }), 422, "BODY_INVALID"],
      [
        JSON.stringify({ ...batch, orders: { ...orders, stakesCents: [0.5] } }),
        422,
        "BODY_INVALID",
      ],
      [JSON.stringify({ ...batch, orders: { ...orders, stakesCents: [-1] } }), 422, "BODY_INVALID"],
      [JSON.stringify({ ...batch, orders: { ...orders, names: ["b", "c"] } }), 422, "BODY_INVALID"],
      [JSON.stringify({ ...batch, orders: { ...orders, names: ["b,c"] } }), 422, "BODY_INVALID"],
      [JSON.stringify({ ...batch, orders: { ...orders, bucket: "a b" } }), 422, "BODY_INVALID"],
      [JSON.stringify({ ...batch, extra: 1 }), 422, "BODY_INVALID"],
      [JSON.stringify({ ...batch, pad: "x".repeat(600_000) }), 413, "BODY_TOO_LARGE"],
    ] as const;
    for (const [body, status, code] of bad) {
      const reply = await post("/v1/contracts", body);
      expect(reply.status).toBe(status);
      expect(reply.headers.get("content-type")).toStartWith("application/problem+json");
      expect(await reply.json()).toMatchObject({ code });
    }
    expect(await desk.balanceOf(account)).toBe(1_000);
  });

  test("takes a deposit once per id", async () => {
    const account = crypto.randomUUID();
    const body = JSON.stringify({
      deposits: [{ id: crypto.randomUUID(), account, amountCents: 5 }],
    });
    expect(await (await post("/v1/deposits", body)).json()).toEqual({ applied: 1 });
    expect(await (await post("/v1/deposits", body)).json()).toEqual({ applied: 0 });
    expect(await desk.balanceOf(account)).toBe(5);
  });
});

describe("settling", () => {
  const partition = 0;
  const keys = new DeskKeys(partition);

  test("settles each contract as the rule says, on the first quote at or after its expiry, once", async () => {
    const redis = await startRedis();
    const client = connectRedis(redis.url);
    try {
      const amount = fc.integer({ min: 1, max: 1_000_000_000_000 });
      const price = fc.integer({ min: 1, max: 2_000_000 });
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            stakeCents: amount,
            payoutBp: fc.integer({ min: 0, max: 100_000 }),
            openPriceMicros: price,
            closePriceMicros: fc.option(fc.oneof(price, fc.constant(1_000))),
            contract: fc.constantFrom("CALL" as const, "PUT" as const),
          }),
          async ({ stakeCents, payoutBp, openPriceMicros, closePriceMicros, contract }) => {
            await clear(client);
            const expires = Date.now() - 120_000;
            const name = "3#0 bucket EUR/USD";
            const text = `open,${contract},${payoutBp},${openPriceMicros},1,${expires}|one,acct,${stakeCents};`;
            await client.send("HSET", [keys.contracts("bucket"), "3#0", text]);
            await client.send("HSET", [keys.balances, "acct", "0"]);
            await client.send("ZADD", [keys.expiries, String(expires), name]);
            const tick = (at: number, micros: number) =>
              client.send("ZADD", [keys.ticks("EUR/USD"), String(at), `${at},${micros}`]);
            await tick(expires - 1, 1);
            if (closePriceMicros !== null) {
              await tick(expires, closePriceMicros);
              await tick(expires + 1, 1);
            }
            expect(await run(client, settleBatch, { ...CALL, partition, name })).toBe(1);
            expect(await run(client, settleBatch, { ...CALL, partition, name })).toBe(0);
            const kind =
              closePriceMicros === null
                ? "void"
                : settle(contract, openPriceMicros, closePriceMicros);
            const balance = Number(await client.send("HGET", [keys.balances, "acct"]));
            expect(balance).toBe(returnCents(kind, stakeCents, payoutBp));
            const books = await client.send("HGETALL", [keys.contracts("bucket")]);
            expect(parseBucket("bucket", books)).toMatchObject([
              { clientOrderId: "bucket.one", account: "acct", stakeCents, state: kind },
            ]);
          },
        ),
        { numRuns: 100 },
      );
    } finally {
      client.close();
      await redis.stop();
    }
  });

  test("and selling divide the contracts between them in any race, and no money is lost", async () => {
    const redis = await startRedis();
    const client = connectRedis(redis.url);
    const COUNT = 40;
    const quote = (micros: number) =>
      client.send("HSET", [keys.quotes, "EUR/USD", `${micros},${Date.now()}`]);
    const names = Array.from({ length: COUNT }, (_, index) => `n${index}`);
    const accounts = names.map((_, index) => asId<AccountId>(`acct-${index % 7}`));
    const stakesCents = names.map((_, index) => 100 + index);
    try {
      for (let round = 0; round < 20; round += 1) {
        await clear(client);
        await client.send("HSET", [
          keys.balances,
          ...[...new Set(accounts)].flatMap((each) => [each, "100000"]),
        ]);
        await quote(1_000_000);
        const orders = { bucket: "bucket", shard: 3, names, accounts, stakesCents };
        const terms = { symbol: "EUR/USD", contract: "CALL", payoutBp: 8_500 } as const;
        const validUntilMs = Date.now() + 1_000;
        const durationMs = 40;
        await run(client, openContracts, {
          ...CALL,
          partition,
          ...terms,
          durationMs,
          validUntilMs,
          orders,
        });
        await quote(1_000_001);
        const due = Date.now() + 40;
        await client.send("ZADD", [keys.ticks("EUR/USD"), String(due), `${due},1000001`]);
        const name = "3#0 bucket EUR/USD";
        const sell = (close: string, some: readonly string[]) =>
          run(client, sellContracts, {
            ...CALL,
            partition,
            close: close as SignalId,
            orders: { bucket: "bucket", shard: 3, names: some },
          });
        // Sales of overlapping parts around the moment at which the rest settles.
        await Promise.all(
          Array.from({ length: 12 }, async (_, index) => {
            await Bun.sleep(30 + round / 2 + index / 2);
            if (index % 3 === 2) await run(client, settleBatch, { ...CALL, partition, name });
            else await sell(`close-${index}`, names.slice(index * 2, index * 2 + 12));
          }),
        );
        await until("the rest has settled", async () => {
          await run(client, settleBatch, { ...CALL, partition, name });
          return (await client.send("ZCARD", [keys.expiries])) === 0;
        });
        const contracts = parseBucket(
          "bucket",
          await client.send("HGETALL", [keys.contracts("bucket")]),
        );
        expect(contracts.map(({ clientOrderId }) => clientOrderId as string).toSorted()).toEqual(
          names.map((each) => `bucket.${each}`).toSorted(),
        );
        expect(contracts.some(({ state }) => state === "open")).toBe(false);
        const returned = contracts.reduce(
          (sum, { state, stakeCents, payoutBp, sale }) =>
            sum +
            (state === "sold"
              ? (sale?.returnCents ?? 0)
              : returnCents(state as "won", stakeCents, payoutBp)),
          0,
        );
        const staked = stakesCents.reduce((sum, each) => sum + each, 0);
        const balances = (await client.send("HVALS", [keys.balances])) as string[];
        expect(balances.reduce((sum, each) => sum + Number(each), 0)).toBe(
          7 * 100_000 - staked + returned,
        );
        const entries = (await client.send("XRANGE", [keys.settlements, "-", "+"])) as [
          string,
          string[],
        ][];
        const told = entries.flatMap(([, flat]) => JSON.parse(flat[1] ?? "[]") as [string][]);
        expect(told.map(([id]) => id).toSorted()).toEqual(
          names.map((each) => `bucket.${each}`).toSorted(),
        );
      }
    } finally {
      client.close();
      await redis.stop();
    }
  });

  test("selling pays for each contract what the rule says, and refuses a stale quote", async () => {
    const redis = await startRedis();
    const client = connectRedis(redis.url);
    try {
      const price = fc.integer({ min: 1, max: 2_000_000 });
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            stakeCents: fc.integer({ min: 1, max: 1_000_000_000_000 }),
            payoutBp: fc.integer({ min: 0, max: 100_000 }),
            openPriceMicros: price,
            priceMicros: fc.oneof(price, fc.constant(1_000)),
            contract: fc.constantFrom("CALL" as const, "PUT" as const),
            durationMs: fc.integer({ min: 60_000, max: 86_400_000 }),
            ageMs: fc.integer({ min: 0, max: 50_000 }),
            isStale: fc.boolean(),
          }),
          async ({ stakeCents, payoutBp, openPriceMicros, priceMicros, contract, ...times }) => {
            await clear(client);
            const openedAtMs = Date.now() - times.ageMs;
            const expiresAtMs = openedAtMs + times.durationMs;
            const text = `open,${contract},${payoutBp},${openPriceMicros},${openedAtMs},${expiresAtMs},EUR/USD|one,acct,${stakeCents};`;
            await client.send("HSET", [keys.contracts("bucket"), "3#0", text]);
            await client.send("HSET", [keys.balances, "acct", "0"]);
            const quotedAtMs = Date.now() - (times.isStale ? 2_000 : 0);
            await client.send("HSET", [keys.quotes, "EUR/USD", `${priceMicros},${quotedAtMs}`]);
            const { contracts } = await run(client, sellContracts, {
              ...CALL,
              partition,
              close: "close" as SignalId,
              orders: { bucket: "bucket", shard: 3, names: ["one"] },
            });
            const balance = Number(await client.send("HGET", [keys.balances, "acct"]));
            const sale = contracts[0]?.sale;
            if (times.isStale) {
              expect([contracts[0]?.state, sale, balance]).toEqual(["open", undefined, 0]);
              return;
            }
            const isIn =
              contract === "CALL" ? priceMicros > openPriceMicros : priceMicros < openPriceMicros;
            const leftMs = expiresAtMs - (sale?.closedAtMs ?? 0);
            const wanted = saleCents({ stakeCents, payoutBp }, isIn, leftMs, times.durationMs);
            expect([sale?.returnCents, balance]).toEqual([wanted, wanted]);
          },
        ),
        { numRuns: 100 },
      );
    } finally {
      client.close();
      await redis.stop();
    }
  });

  test("waits for the quote to settle at while one can still come", async () => {
    const client = connectRedis(desk.redis.url);
    const expires = Date.now() - 10;
    const name = "0#0 waiting NO/QUOTE";
    await client.send("ZADD", [keys.expiries, String(expires), name]);
    expect(await run(client, settleBatch, { ...CALL, partition, name })).toBe("waiting");
    await client.send("ZREM", [keys.expiries, name]);
    client.close();
  });

  test("spreads accounts over all partitions", () => {
    const partitions = new PartitionMap(4);
    const used = new Set(
      Array.from({ length: 100 }, (_, index) =>
        partitions.ofAccount(asId<AccountId>(`a-${index}`)),
      ),
    );
    expect(used.size).toBe(4);
  });
});
