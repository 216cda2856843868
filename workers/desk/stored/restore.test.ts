import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { reserveTransactions } from "./commit.ts";
import { deskMark, whileUnmoved, type DeskMark, type RedisCommand } from "./restore.ts";

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
});

const mark = () => redis.run(deskMark, { partition: 1 });

const restore = (at: DeskMark, ...commands: RedisCommand[]) =>
  redis.run(whileUnmoved, { partition: 1, mark: at, commands });

describe("the mark of a partition", () => {
  test("is zero for an empty partition", async () => {
    expect(await mark()).toEqual({ transactions: 0, audit: "0-0" });
  });

  test("changes with everything that is audited", async () => {
    await desk.deposit({ x: 1 });
    const first = await mark();
    expect(first).toEqual({ transactions: 1, audit: (await redis.entryIds(DESK.audit))[0] ?? "" });
    await desk.deposit({ x: 1 });
    expect((await mark()).transactions).toBe(2);
  });

  test("is not changed by transactions that a server only reserved, nor by a trim", async () => {
    await desk.deposit({ x: 1 });
    const before = await mark();
    await redis.run(reserveTransactions, { ...DESK_CALL, reserve: 100 });
    await redis.send("XTRIM", DESK.audit, "MAXLEN", "0");
    expect(await mark()).toEqual(before);
  });
});

describe("what a restore prepared", () => {
  const prepared = DESK.prepared(DESK.balances, "me");

  test("replaces the live keys, all in one step", async () => {
    await desk.deposit({ x: 1 });
    await redis.send("HSET", prepared, "x", "5");
    const done = await restore(
      await mark(),
      ["RENAME", prepared, DESK.balances],
      ["HSET", DESK.buys, "x", "row"],
    );
    expect(done).toBe(true);
    expect(await desk.balances()).toEqual({ x: 5 });
    expect(await redis.send("HGET", DESK.buys, "x")).toBe("row");
    expect(await redis.send("EXISTS", prepared)).toBe(0);
  });

  test("does nothing if the partition has changed since its mark", async () => {
    await desk.deposit({ x: 1 });
    const at = await mark();
    await desk.deposit({ x: 1 });
    await redis.send("HSET", prepared, "x", "5");
    const before = await redis.everything();
    expect(await restore(at, ["RENAME", prepared, DESK.balances])).toBe(false);
    expect(await restore({ ...(await mark()), audit: "1-0" }, ["DEL", DESK.balances])).toBe(false);
    expect(await redis.everything()).toEqual(before);
  });
});
