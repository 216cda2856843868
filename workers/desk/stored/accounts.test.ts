import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { noPosition, type Position } from "../../../domain/desk/account.ts";
import { DESK } from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { readAccounts } from "./accounts.ts";
import { packPosition } from "./fields.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

async function storePositions(
  user: string,
  positions: Readonly<Record<string, Partial<Position>>>,
) {
  await redis.send("HSET", DESK.symbols, user, Object.keys(positions).join(" "));
  for (const [symbol, position] of Object.entries(positions)) {
    const text = packPosition({ ...noPosition(), ...position });
    await redis.send("HSET", DESK.positions, `${user} ${symbol}`, text);
  }
}

const read = (...users: string[]) => redis.run(readAccounts, { partition: 1, users });

test("a user has a balance, its reserved part, and shares, free and reserved; zeros are omitted", async () => {
  await redis.send("HSET", DESK.balances, "alice", "1000");
  await storePositions("alice", {
    ABC: { shares: 3, buyCents: 200, buyPriceCents: 5, buyTransaction: 9 },
    XY: { reservedShares: 4, sellCents: 300, sellPriceCents: 50, sellTransaction: 9 },
    Z: {},
    S: { buyCents: 50 },
  });
  expect(await read("alice")).toEqual([
    {
      balanceCents: 1_000,
      reservedCents: 250,
      shares: { ABC: 3 },
      reservedShares: { XY: 4 },
    },
  ]);
});

test("users are read in the order of the call; an unknown user is undefined", async () => {
  await redis.send("HSET", DESK.balances, "alice", "1", "bob", "0");
  expect(await read("bob", "nobody", "alice")).toMatchObject([
    { balanceCents: 0, shares: {} },
    undefined,
    { balanceCents: 1 },
  ] as never);
});

test("a position belongs to its own user, also if another user's name begins the same", async () => {
  await redis.send("HSET", DESK.balances, "al", "1", "alice", "1");
  await storePositions("alice", { ABC: { shares: 3 } });
  expect((await read("al"))[0]?.shares).toEqual({});
});
