/** Two desk servers that both have the same accounts in memory. */
import { clear } from "../../../tests/support/redis.ts";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { commitAccounts } from "../stored/commit.ts";
import { noChanges } from "../stored/draft.ts";
import { deposit } from "../stored/deposit.ts";
import { readAccounts } from "../stored/accounts.ts";
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";
import type { AccountId } from "../../../domain/ids.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { run } from "../../runtime/redis.ts";
import { AccountBook } from "./book.ts";
import { executeCommands, type Reply } from "./execute.ts";
import { fireTriggers } from "./fire.ts";
import { readDrafts } from "./read.ts";

const CALL = { partition: 1, partitions: 4, server: "d" };
const PENDING_MS = 60_000;

let one: AccountBook;
let other: AccountBook;
const { redis } = await openRedis();
beforeEach(async () => {
  one = new AccountBook(redis, CALL);
  other = new AccountBook(redis, CALL);
  // Both have read the account as it is now.
  await lines(one, ["ADD", "", 100_000]);
  await lines(other, ["DISPLAY_SUMMARY"]);
  await lines(one, ["DISPLAY_SUMMARY"]);
});
afterEach(async () => void (await clear(redis)));

/** The replies to commands of the one user, at a quote of 1.00. */
async function lines(
  at: AccountBook,
  ...commands: readonly (readonly [name: string, symbol?: string, cents?: number])[]
): Promise<readonly Reply[]> {
  const quote = { priceCents: 100, quoteTimeMs: Date.now(), session: "", n: 0 };
  return await executeCommands(
    at,
    commands.map(([name, symbol = "", cents = 0]) => ({
      ...quote,
      name,
      user: "u",
      symbol,
      cents,
    })),
    PENDING_MS,
  );
}

const executed = (members: string) =>
  expect.objectContaining({ members: expect.stringContaining(members) });
const refused = (refusal: DeskRefusal) => expect.objectContaining({ refusal });

const books = async () => (await run(redis, readAccounts, { partition: 1, users: ["u"] }))[0];

test("each server sees a change of the other that moved no money, before it replies", async () => {
  await lines(other, ["QUOTE", "ABC"]);
  expect(await lines(one, ["BUY", "ABC", 500])).toEqual([executed(`,"symbol":"ABC","shares":5,`)]);
  expect(await lines(other, ["COMMIT_BUY"])).toEqual([
    executed(`,"symbol":"ABC","shares":5,"totalCents":500,`),
  ]);
  expect(await lines(one, ["COMMIT_BUY"])).toEqual([refused("BUY_NOT_PENDING")]);
});

test("transaction numbers increase from command to command, at both servers", async () => {
  const numbers: number[] = [];
  for (let count = 0; count < 20; count += 1) {
    const replies = await lines(count % 3 === 0 ? one : other, ["ADD", "", 1], ["QUOTE", "ABC"]);
    numbers.push(...replies.map(({ transaction }) => transaction));
  }
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  expect(new Set(numbers).size).toBe(40);
});

test("a server sees money from elsewhere, and overwrites none of it", async () => {
  const deposits = [{ id: "d1", account: "u" as AccountId, amountCents: 7 }];
  await run(redis, deposit, { ...CALL, deposits });
  expect(await lines(one, ["ADD", "", 1])).toEqual([executed(`,"balanceCents":100008`)]);
  expect((await books())?.balanceCents).toBe(100_008);
});

test("a decision of a server that paused before its commit is made again", async () => {
  const { drafts, nowMs } = await readDrafts(redis, CALL, ["u"], 1);
  const [account] = drafts;
  if (!account) throw new Error("nothing was read");
  account.balanceCents = 1;
  const changes = noChanges();
  account.addTo(changes);
  const commit = (atMs: number) =>
    run(redis, commitAccounts, {
      ...CALL,
      version: "v",
      accounts: [account],
      changes,
      events: ["s,2,up"],
      atMs,
      lastTransaction: 2,
      reserve: 1,
    });
  expect(await commit(nowMs - 2_000)).toMatchObject({ done: false });
  expect((await books())?.balanceCents).toBe(100_000);
  expect(await commit(nowMs)).toMatchObject({ done: true });
  expect((await books())?.balanceCents).toBe(1);
});

test("a trigger that fired elsewhere is gone at a server that saw it waiting", async () => {
  await lines(one, ["SET_BUY_AMOUNT", "ABC", 500], ["SET_BUY_TRIGGER", "ABC", 50]);
  const terms = { symbol: "ABC", priceCents: 50, sourceTimeMs: Date.now(), validMs: 60_000 };
  expect(await fireTriggers(redis, { ...CALL, ...terms })).toEqual({ kind: "fired", count: 1 });
  expect(await lines(one, ["CANCEL_SET_BUY", "ABC"])).toEqual([refused("BUY_AMOUNT_NOT_SET")]);
  expect(await books()).toMatchObject({ shares: { ABC: 10 }, reservedCents: 0 });
});

test("two servers at once, for long: every command is executed once", async () => {
  await Promise.all(
    [one, other].map(async (at) => {
      for (let count = 0; count < 200; count += 1) {
        await lines(at, ["ADD", "", 1], ["BUY", "ABC", 100], ["COMMIT_BUY"]);
      }
    }),
  );
  expect(await books()).toMatchObject({ balanceCents: 100_400 - 40_000, shares: { ABC: 400 } });
});
