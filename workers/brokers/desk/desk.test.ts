import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { returnCents, settle } from "../../../domain/contract.ts";
import { asId, type AccountId } from "../../../domain/ids.ts";
import { parseBucket } from "../../../redis/desk-books.ts";
import { settleBatch } from "../../../redis/desk-settle.ts";
import { DeskKeys, PartitionMap } from "../../../redis/keys.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { connectRedis, run } from "../../redis-client.ts";
import { conformance } from "../conformance.ts";
import { connectDesk } from "./desk.ts";

/** Whose calls the scripts are told to be. */
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
            await client.send("FLUSHALL", []);
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
