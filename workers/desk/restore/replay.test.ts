import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { parseDeskLine, QUOTED_COMMANDS } from "../../../domain/desk/command.ts";
import {
  BUCKET,
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { AccountBook } from "../accounts/book.ts";
import { executeCommands } from "../accounts/execute.ts";
import type { StoredEntry } from "../audit/port.ts";
import { AUDITED_HASHES } from "../stored/audit.ts";
import { BOOKS_KEPT_MS } from "../stored/books.ts";
import { sellContracts } from "../stored/sell.ts";
import { settleBatch } from "../stored/settle.ts";
import { differencesOf, keptOf } from "./kept.ts";
import { replay } from "./replay.ts";

const PRICE = 1_000_000;

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

/** Lines of users, each executed at a quote of 5.00. */
async function lines(...texts: string[]): Promise<void> {
  const accounts = new AccountBook(redis.client, DESK_CALL);
  for (const text of texts) {
    const line = parseDeskLine(text);
    if (line.kind === "refused") throw new Error(line.code);
    const { file: _, ...command } = line.command;
    const isQuoted = QUOTED_COMMANDS.has(command.name);
    const quote = { priceCents: isQuoted ? 500 : 0, quoteTimeMs: isQuoted ? Date.now() : 0 };
    await executeCommands(
      accounts,
      [{ ...command, ...quote, session: "s", n: line.n ?? 0 }],
      60_000,
    );
  }
}

/** One example of everything that a desk does. */
async function trade(): Promise<void> {
  await lines(
    "[1] ADD,ann,1000.00",
    "[2] BUY,ann,ABC,100.00",
    "[3] COMMIT_BUY,ann",
    "[4] BUY,ann,XY,20.00",
    "[5] SET_BUY_AMOUNT,ann,XY,30.00",
    "[6] SET_BUY_TRIGGER,ann,XY,2.00",
    "[7] SET_SELL_AMOUNT,ann,ABC,50.00",
    "[8] SET_SELL_TRIGGER,ann,ABC,9.00",
    "[1] ADD,bob,10.00",
    "[2] QUOTE,bob,ABC",
    "[3] CANCEL_BUY,bob",
  );
  await desk.deposit({ ann: 5, carl: 10_000 });
  await desk.quote(PRICE);
  await desk.open([
    ["a", "carl", 100],
    ["b", "carl", 200],
    ["c", "ann", 300],
  ]);
  await desk.open([["d", "carl", 400]]);
  const orders = { bucket: BUCKET, shard: 0, names: ["b", "d"] };
  await redis.run(sellContracts, { ...DESK_CALL, close: signalIdOf(2), orders });
}

async function* audit(): AsyncGenerator<StoredEntry> {
  const [ids, entries] = [await redis.entryIds(DESK.audit), await redis.entries(DESK.audit)];
  for (const [index, fields] of entries.entries()) {
    yield { partition: DESK_CALL.partition, id: ids[index] ?? "", fields };
  }
}

const replayed = async (entries: AsyncIterable<StoredEntry> = audit(), laterMs = 0) =>
  await replay(entries, { ...DESK_CALL, nowMs: (await redis.nowMs()) + laterMs });

const expected = async () => keptOf(DESK_CALL.partition, await replayed(), await redis.nowMs());

describe("the audit of a partition", () => {
  test("contains every account as Redis has it, every waiting trigger, and every contract", async () => {
    await trade();
    const result = await replayed();
    for (const name of AUDITED_HASHES) {
      expect([name, Object.fromEntries(result.hashes[name])]).toEqual([
        name,
        await redis.hash(DESK[name]),
      ]);
    }
    expect(result.contradicted).toEqual([]);
    expect(await differencesOf(redis.client, await expected())).toBe(0);
  });

  test.each([
    ["won", PRICE + 1],
    ["lost", PRICE - 1],
  ])("contains the same after contracts have settled, %s", async (_, closePrice) => {
    await trade();
    for (const name of (await redis.send("ZRANGE", DESK.expiries, "0", "-1")) as string[]) {
      const expiredAtMs = (await redis.nowMs()) - 60_000;
      await redis.send("ZADD", DESK.expiries, String(expiredAtMs), name);
      await redis.send(
        "ZADD",
        DESK.ticks("EUR/USD"),
        String(expiredAtMs),
        `${expiredAtMs},${closePrice}`,
      );
      await redis.run(settleBatch, { ...DESK_CALL, name });
    }
    expect(await differencesOf(redis.client, await expected())).toBe(0);
    const { settlements, transactions } = await replayed();
    expect(transactions).toBe(Number(await redis.send("GET", DESK.audited)));
    const entries = await redis.entries(DESK.settlements);
    expect(settlements.map(({ settled }) => JSON.stringify(settled))).toEqual(
      entries.map((fields) => fields.get("settled") ?? ""),
    );
  });

  test("gives the number of the partition's transactions up to the highest one", async () => {
    await trade();
    const { transactions } = await replayed();
    expect(transactions).toBe(Number(await redis.send("GET", DESK.audited)));
    expect((await replayed((async function* () {})())).transactions).toBe(0);
  });

  test("names the accounts whose events do not add up to their balance", async () => {
    await trade();
    async function* withoutOne(): AsyncGenerator<StoredEntry> {
      let index = 0;
      for await (const entry of audit()) if ((index += 1) !== 1) yield entry;
    }
    expect((await replayed(withoutOne())).contradicted).toEqual(["ann"]);
  });

  test("omits contracts that are older than the books retain them, but no money", async () => {
    await trade();
    const result = await replayed(audit(), 2 * BOOKS_KEPT_MS);
    expect(result.contracts.size).toBe(0);
    expect(result.contradicted).toEqual([]);
  });
});

describe("fields that differ from the audit are counted", () => {
  test.each([
    ["a field of another value", () => redis.send("HSET", DESK.balances, "ann", "1")],
    ["a field that is missing", () => redis.send("HDEL", DESK.positions, "ann ABC")],
    ["a field that no entry contains", () => redis.send("HSET", DESK.buys, "zoe", "x")],
    ["a trigger that is missing", () => redis.send("DEL", DESK.buyTriggers)],
    [
      "a deposit that is missing",
      async () => {
        const [id = ""] = Object.keys(await redis.hash(DESK.deposits));
        return await redis.send("HDEL", DESK.deposits, id);
      },
    ],
    ["a contract that is missing", () => redis.send("HDEL", DESK.contracts(BUCKET), "0#1")],
  ])("%s counts as one", async (_what, change) => {
    await trade();
    await change();
    expect(await differencesOf(redis.client, await expected())).toBe(1);
  });
});
