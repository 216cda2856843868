/**
 * The desk's scripts on a real Redis, compared with the plain model and the table in
 * `docs/DESK.md`.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDeskLine, QUOTED_COMMANDS, type DeskCommand } from "../../../domain/desk/command.ts";
import { DeskModel } from "../../../tests/support/desk-model.ts";
import { readAccounts } from "../stored/accounts.ts";
import {
  AUDITED_HASHES,
  changesOf,
  eventsOf,
  parseAuditEntry,
  type AuditedHash,
  type AuditEntry,
  type AuditEvent,
} from "../stored/audit.ts";
import { AccountBook } from "./book.ts";
import { executeCommands, type ReadyCommand, type Reply } from "./execute.ts";
import { fireTriggers, type FireCursor } from "./fire.ts";
import { MAX_HELD } from "../../../domain/desk/account.ts";
import { sessionOfOther } from "../stored/session.ts";
import { waitingTriggers } from "../stored/waiting.ts";
import { DeskKeys } from "../stored/keys.ts";
import { clear, startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";

const CALL = { partition: 1, partitions: 4, server: "d1" };
const FOREVER_MS = 1_000_000_000;

let server: TestRedis;
let redis: Redis;
let accounts: AccountBook;
beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
});
beforeEach(() => {
  accounts = new AccountBook(redis, CALL);
});
afterEach(async () => void (await clear(redis)));
afterAll(async () => {
  redis.close();
  await server.stop();
});

function ready(line: string, quoteCents = 0, ageMs = 0): ReadyCommand {
  const parsed = parseDeskLine(line);
  if (parsed.kind === "refused") {
    return { ...at(0), ...parsed.read, more: { refusal: parsed.code } };
  }
  const { file, ...command } = parsed.command;
  return {
    ...command,
    ...at(QUOTED_COMMANDS.has(command.name) ? quoteCents : 0, ageMs),
    ...(file === "" ? {} : { more: { file } }),
  };
}

function at(
  priceCents: number,
  ageMs = 0,
): Pick<ReadyCommand, "priceCents" | "quoteTimeMs" | "session" | "n"> {
  return { priceCents, quoteTimeMs: priceCents === 0 ? 0 : Date.now() - ageMs, session: "", n: 0 };
}

type Parsed = { transaction: number; code?: string } & Record<string, unknown>;

async function execute(
  commands: readonly ReadyCommand[],
  pendingValidMs = 60_000,
): Promise<Parsed[]> {
  const replies = await executeCommands(accounts, commands, pendingValidMs);
  return replies.map(told);
}

function told({ transaction, refusal, members }: Reply): Parsed {
  if (refusal) return { transaction, code: refusal };
  return JSON.parse(`{"transaction":${transaction}${members}}`) as Parsed;
}

async function lines(
  ...texts: readonly (readonly [line: string, quoteCents?: number])[]
): Promise<Parsed[]> {
  return await execute(texts.map(([line, quote]) => ready(line, quote)));
}

async function entries(): Promise<AuditEntry[]> {
  const stream = new DeskKeys(1).audit;
  const raw = (await redis.send("XRANGE", [stream, "-", "+"])) as [string, string[]][];
  return raw.map(([, flat]) => {
    const fields = new Map<string, string>();
    for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i]!, flat[i + 1]!);
    return parseAuditEntry(fields)!;
  });
}

async function audited(): Promise<AuditEvent[]> {
  return (await entries()).flatMap((entry) => [...eventsOf(entry)]);
}

/** The partition's hashes, rebuilt from the audit entries alone. */
async function replayed(): Promise<Record<AuditedHash, Record<string, string>>> {
  const hashes = Object.fromEntries(
    AUDITED_HASHES.map((name) => [name, {} as Record<string, string>]),
  ) as Record<AuditedHash, Record<string, string>>;
  for (const { changed } of await entries()) {
    for (const [name, text] of changed)
      Object.assign(hashes[name], Object.fromEntries(changesOf(text)));
  }
  return hashes;
}

async function books(...users: string[]) {
  return await run(redis, readAccounts, { partition: 1, users });
}

const fire = (symbol: string, priceCents: number, sourceTimeMs = Date.now(), after?: FireCursor) =>
  fireTriggers(redis, {
    ...CALL,
    symbol,
    priceCents,
    sourceTimeMs,
    validMs: 60_000,
    ...(after ? { after } : {}),
  });

/** How many triggers each call fired, until none remains. */
async function fireAll(symbol: string, priceCents: number): Promise<number[]> {
  const counts: number[] = [];
  for (let after: FireCursor | undefined, more = true; more;) {
    const fired = await fire(symbol, priceCents, Date.now(), after);
    if (fired.kind !== "fired") throw new Error(fired.kind);
    counts.push(fired.count);
    after = fired.next;
    more = after !== undefined;
  }
  return counts;
}

const waiting = async (side: "buy" | "sell") =>
  (await run(redis, waitingTriggers, { partition: 1, side })).waiting;

describe("the desk's commands", () => {
  test("a buy takes whole shares at its quote when it is committed, and nothing before", async () => {
    const [, buy, commit, again] = await lines(
      ["ADD,u,100.00"],
      ["BUY,u,ABC,50.00", 1_500],
      ["COMMIT_BUY,u"],
      ["COMMIT_BUY,u"],
    );
    expect(buy).toMatchObject({
      shares: 3,
      priceCents: 1_500,
      totalCents: 4_500,
      balanceCents: 10_000,
    });
    expect(commit).toMatchObject({ symbol: "ABC", shares: 3, balanceCents: 5_500 });
    expect(again).toMatchObject({ code: "BUY_NOT_PENDING" });
    expect(await books("u")).toEqual([
      { balanceCents: 5_500, reservedCents: 0, shares: { ABC: 3 }, reservedShares: {} },
    ]);
  });

  test("a commit that fails consumes its order and nothing else", async () => {
    const replies = await lines(
      ["ADD,u,10.00"],
      ["BUY,u,ABC,10.00", 500],
      ["BUY,u,ABC,10.00", 500],
      ["COMMIT_BUY,u"],
      ["COMMIT_BUY,u"],
      ["COMMIT_BUY,u"],
    );
    expect(replies.map(({ code }) => code)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "BALANCE_TOO_LOW",
      "BUY_NOT_PENDING",
    ]);
    expect(await books("u")).toMatchObject([{ balanceCents: 0, shares: { ABC: 2 } }]);
  });

  test("a pending order is gone after its time", async () => {
    const buy = [ready("ADD,u,10.00"), ready("BUY,u,ABC,10.00", 500)];
    await execute(buy, 1);
    const [late] = await until("it is too old", async () => {
      const replies = await execute([ready("COMMIT_BUY,u")], 1);
      return replies[0]?.code === "BUY_NOT_PENDING" && replies;
    });
    expect(late).toMatchObject({ code: "BUY_NOT_PENDING" });
  });

  test("without a quote, or with one older than sixty seconds, a command is refused", async () => {
    await lines(["ADD,u,10.00"]);
    const [old, fresh, none] = await execute([
      ready("BUY,u,ABC,10.00", 500, 60_500),
      ready("BUY,u,ABC,10.00", 500, 59_000),
      ready("BUY,u,ABC,10.00"),
    ]);
    expect(old).toMatchObject({ code: "QUOTE_UNAVAILABLE" });
    expect(fresh?.code).toBeUndefined();
    expect(none).toMatchObject({ code: "QUOTE_UNAVAILABLE" });
  });

  test("amounts are exact up to the largest, and an account never exceeds its bound", async () => {
    const most = "10000000000.00";
    const adds = await lines(
      ...Array.from({ length: 1_001 }, () => [`ADD,u,${most}`] as const).slice(0, 500),
    );
    expect(adds.at(-1)).toMatchObject({ balanceCents: 500_000_000_000_000 });
    await lines(...Array.from({ length: 500 }, () => [`ADD,u,${most}`] as const));
    expect(await lines([`ADD,u,0.01`])).toMatchObject([{ code: "BALANCE_TOO_HIGH" }]);
    const [, commit, sum] = await lines(
      [`BUY,u,ABC,${most}`, 1],
      ["COMMIT_BUY,u"],
      ["DISPLAY_SUMMARY,u"],
    );
    expect(commit).toMatchObject({ shares: 1_000_000_000_000, balanceCents: 999_000_000_000_000 });
    expect(sum).toMatchObject({ holdings: [{ symbol: "ABC", shares: 1_000_000_000_000 }] });
  });

  test("transaction numbers are unique, increase, and belong to their partition", async () => {
    const numbers = (await lines(["ADD,u,1.00"], ["nonsense"], ["ADD,v,1.00"])).map(
      (each) => each.transaction,
    );
    const [next] = await lines(["ADD,u,1.00"]);
    expect([...numbers, next?.transaction]).toEqual([2, 6, 10, 14]);
  });

  test("a numbered command is executed once in its session, and gets the same reply again", async () => {
    const add = (n: number, session = "s"): ReadyCommand => ({
      ...ready("ADD,u,1.00"),
      session,
      n,
    });
    const [first, again] = await execute([add(5), add(5)]);
    expect(again).toEqual(first!);
    expect(await execute([add(5)])).toEqual([first!]);
    expect(await execute([add(4)])).toMatchObject([{ code: "COMMAND_OVERTAKEN" }]);
    expect(await execute([add(6), add(5, "other")])).toMatchObject([
      { balanceCents: 200 },
      { balanceCents: 300 },
    ]);
    const refused = { ...ready("ADD,u,-1.00"), session: "s", n: 7 };
    const [no] = await execute([refused]);
    expect(await execute([refused])).toEqual([no!]);
    // The newest sessions of a user are stored.
    await execute(["a", "b", "c"].map((session) => add(1, session)));
    expect(await execute([add(7)])).toMatchObject([{ balanceCents: 700 }]);
  });

  test("a number that was used for another command is refused, audited, and executes nothing", async () => {
    const numbered = (line: string, n: number, session = "s") => ({ ...ready(line), session, n });
    const [added] = await execute([numbered("ADD,u,10.00", 1)]);
    for (const other of [
      "ADD,u,10.01",
      "ADD,u,42949682.96",
      "SET_BUY_AMOUNT,u,ABC,10.00",
      "COMMIT_BUY,u",
      "ADD,u,-1.00",
    ]) {
      expect(await execute([numbered(other, 1)])).toMatchObject([
        { code: "COMMAND_NUMBER_REUSED" },
      ]);
    }
    expect(await execute([numbered("ADD,u,10.00", 1)])).toEqual([added!]);
    expect(await books("u")).toMatchObject([{ balanceCents: 1_000 }]);
    expect((await audited()).slice(1)).toEqual(
      Array.from({ length: 5 }, () =>
        expect.objectContaining({ refusal: "COMMAND_NUMBER_REUSED", movedCents: [] }),
      ),
    );
    // The number belongs to that command, refused or not.
    const [no] = await execute([numbered("COMMIT_BUY,u", 2)]);
    expect(await execute([numbered("COMMIT_SELL,u", 2)])).toMatchObject([
      { code: "COMMAND_NUMBER_REUSED" },
    ]);
    expect(await execute([numbered("COMMIT_BUY,u", 2)])).toEqual([no!]);
    // What the quote server was paid is no part of the command.
    const paid = { symbol: "ABC", priceCents: 500, quoteTimeMs: 1, cryptokey: "k", user: "u" };
    const asked = { ...numbered("QUOTE,u,ABC", 3), ...at(500), session: "s", n: 3 };
    const [quoted] = await execute([{ ...asked, more: { file: "", paid } }]);
    expect(await execute([{ ...asked, ...at(700), session: "s", n: 3 }])).toEqual([quoted!]);
  });

  test("two senders of one account share no numbers, and neither displaces the other's sessions", async () => {
    const add = (session: string, n = 1) => ({ ...ready("ADD,u,1.00"), session, n });
    const others = ["1", "2", "3", "4", "5"].map((name) => sessionOfOther("boss", name));
    const [own] = await execute([add("1")]);
    const [boss] = await execute([add(others[0]!)]);
    expect([own, boss]).toMatchObject([{ balanceCents: 100 }, { balanceCents: 200 }]);
    await execute(others.slice(1).map((name) => add(name)));
    accounts = new AccountBook(redis, CALL);
    expect(await execute([add("1")])).toEqual([own!]);
    // The oldest session of the other sender is displaced.
    expect(await execute([add(others[1]!)])).toMatchObject([{ balanceCents: 300 }]);
    expect(await execute([add(others[0]!)])).toMatchObject([{ balanceCents: 700 }]);
  });

  test("a sender finds a session that an earlier version stored, for all three kinds of sender", async () => {
    const keys = new DeskKeys(1);
    await lines(["ADD,u,7.00"]);
    await redis.send("HSET", [keys.sessions, "u", "s", "u s", "5 2 =b700,"]);
    const add = (session: string, n: number) => ({ ...ready("ADD,u,7.00"), session, n });
    for (const session of ["s", sessionOfOther("", "s"), sessionOfOther("boss", "s")]) {
      accounts = new AccountBook(redis, CALL);
      expect(await execute([add(session, 5)])).toEqual([{ transaction: 2, balanceCents: 700 }]);
      expect(await execute([add(session, 4)])).toMatchObject([{ code: "COMMAND_OVERTAKEN" }]);
    }
    // From here on, each has its own session.
    expect(await execute([add(sessionOfOther("", "s"), 6)])).toMatchObject([
      { balanceCents: 1400 },
    ]);
    expect(await execute([add("s", 6)])).toMatchObject([{ balanceCents: 2100 }]);
    expect(await execute([add(sessionOfOther("new", "s"), 1)])).toMatchObject([
      { balanceCents: 2800 },
    ]);
  });

  test("a repeated command gets the first reply, also from a server that first reads the account", async () => {
    const sent: readonly (readonly [line: string, quoteCents?: number])[] = [
      ["ADD,u,100.00"],
      ["QUOTE,u,ABC", 500],
      ["BUY,u,ABC,20.00", 500],
      ["COMMIT_BUY,u"],
      ["COMMIT_BUY,u"],
      ["SELL,u,ABC,5.00", 500],
      ["CANCEL_SELL,u"],
      ["SET_BUY_AMOUNT,u,ABC,20.00"],
      ["SET_BUY_TRIGGER,u,ABC,6.00", 500],
      ["CANCEL_SET_SELL,u,ABC"],
      ["DUMPLOG,u,log"],
    ];
    for (const [index, [line, quote]] of sent.entries()) {
      const command = { ...ready(line, quote), session: "s", n: index + 1 };
      const [first] = await execute([command]);
      expect(await execute([command])).toEqual([first!]);
      accounts = new AccountBook(redis, CALL);
      expect(await execute([command])).toEqual([first!]);
    }
    expect(await audited()).toHaveLength(sent.length + 1);
  });

  test("a repeated summary is the same transaction, and shows the account as it is now", async () => {
    const summary = { ...ready("DISPLAY_SUMMARY,u"), session: "s", n: 1 };
    await lines(["ADD,u,5.00"]);
    const [first] = await execute([summary]);
    expect(await execute([summary])).toEqual([first!]);
    await lines(["ADD,u,2.00"]);
    accounts = new AccountBook(redis, CALL);
    expect(first).toMatchObject({ balanceCents: 500, history: [{ cents: 500 }] });
    expect(await execute([summary])).toMatchObject([
      {
        transaction: first!.transaction,
        balanceCents: 700,
        history: [{ cents: 200 }, { cents: 500 }],
      },
    ]);
    expect(await audited()).toMatchObject([
      { name: "ADD" },
      { name: "DISPLAY_SUMMARY" },
      { name: "ADD" },
    ]);
  });

  test("a line refused before this step is audited under its user and changes nothing", async () => {
    await lines(["ADD,u,5.00"], ["ADD,u,-1.00"], ["FLY,u"]);
    expect(await audited()).toMatchObject([
      { kind: "command", name: "ADD", user: "u", refusal: "", movedCents: [500] },
      { kind: "command", name: "ADD", user: "u", refusal: "AMOUNT_INVALID", movedCents: [] },
      { kind: "command", name: "FLY", user: "", refusal: "COMMAND_UNKNOWN" },
    ]);
    expect(await books("u")).toMatchObject([{ balanceCents: 500 }]);
  });

  test("a paid answer is audited in the transaction that caused it", async () => {
    await lines(["ADD,u,5.00"]);
    const quoteTimeMs = Date.now();
    const paid = { symbol: "ABC", priceCents: 250, quoteTimeMs, cryptokey: "a+/=", user: "u" };
    const [quote] = await execute([{ ...ready("QUOTE,u,ABC", 250), more: { paid } }]);
    expect((await audited()).slice(1)).toMatchObject([
      { kind: "command", transaction: quote!.transaction },
      {
        kind: "quote",
        transaction: quote!.transaction,
        user: "u",
        cryptokey: "a+/=",
        priceCents: 250,
      },
    ]);
  });

  test("the summary shows the whole account", async () => {
    const replies = await lines(
      ["ADD,u,100.00"],
      ["BUY,u,ABC,20.00", 500],
      ["COMMIT_BUY,u"],
      ["BUY,u,XY,10.00", 300],
      ["SET_BUY_AMOUNT,u,XY,30.00"],
      ["SET_BUY_TRIGGER,u,XY,2.00", 300],
      ["SET_SELL_AMOUNT,u,ABC,12.00", 500],
      ["SET_SELL_TRIGGER,u,ABC,6.00", 500],
      ["DISPLAY_SUMMARY,u"],
    );
    expect(replies.at(-1)).toMatchObject({
      balanceCents: 5_000,
      reservedCents: 3_000,
      holdings: [{ symbol: "ABC", shares: 2, reservedShares: 2 }],
      pendingBuys: [{ symbol: "XY", shares: 3, priceCents: 300 }],
      pendingSells: [],
      buyTriggers: [{ symbol: "XY", amountCents: 3_000, priceCents: 200 }],
      sellTriggers: [{ symbol: "ABC", amountCents: 1_200, priceCents: 600, shares: 2 }],
      history: [
        { command: "SET_SELL_TRIGGER", symbol: "ABC", shares: 2 },
        { command: "SET_SELL_AMOUNT" },
        { command: "SET_BUY_TRIGGER" },
        { command: "SET_BUY_AMOUNT", symbol: "XY", cents: 3_000 },
        { command: "COMMIT_BUY", symbol: "ABC", cents: 2_000, shares: 4 },
      ],
    });
  });

  test("the history names each change, has the newest five in order, and has a bounded length", async () => {
    const changes: readonly (readonly [line: string, quoteCents?: number])[] = [
      ["ADD,u,9000.00"],
      ["COMMIT_BUY,u"],
      ["COMMIT_SELL,u"],
      ["SET_BUY_AMOUNT,u,ABC,30.00"],
      ["SET_BUY_TRIGGER,u,ABC,2.00", 300],
      ["CANCEL_SET_BUY,u,ABC"],
      ["SET_SELL_AMOUNT,u,ABC,9.00", 300],
      ["SET_SELL_TRIGGER,u,ABC,6.00", 300],
      ["CANCEL_SET_SELL,u,ABC"],
    ];
    const [add, , buy] = await lines(["ADD,u,90.00"], ["BUY,u,ABC,9.00", 300], ["COMMIT_BUY,u"]);
    const done = [
      { transaction: buy!.transaction, command: "COMMIT_BUY" },
      { transaction: add!.transaction, command: "ADD" },
    ];
    for (let round = 0; round < 4; round += 1) {
      await lines(["BUY,u,ABC,9.00", 300], ["SELL,u,ABC,9.00", 300]);
      for (const change of changes) {
        const [told, summary] = await lines(change, ["DISPLAY_SUMMARY,u"]);
        const [command = ""] = change[0].split(",");
        done.unshift({ transaction: told!.transaction, command });
        const history = summary!["history"] as object[];
        expect(history).toMatchObject(done.slice(0, 5));
      }
    }
    const { history } = new DeskKeys(1);
    expect(await redis.send("HSTRLEN", [history, "u"])).toBeLessThan(300);
  });
});

describe("triggers", () => {
  test("fire once, under the transaction that set them, and return the rest", async () => {
    const replies = await lines(
      ["ADD,u,100.00"],
      ["SET_BUY_AMOUNT,u,ABC,10.00"],
      ["SET_BUY_TRIGGER,u,ABC,3.00", 400],
    );
    expect(await fire("ABC", 301)).toMatchObject({ count: 0 });
    expect(await fire("AB", 100)).toMatchObject({ count: 0 });
    expect(await Promise.all([fire("ABC", 300), fire("ABC", 300)])).toEqual(
      expect.arrayContaining([
        { kind: "fired", count: 1 },
        { kind: "fired", count: 0 },
      ]),
    );
    expect(await books("u")).toEqual([
      { balanceCents: 9_100, reservedCents: 0, shares: { ABC: 3 }, reservedShares: {} },
    ]);
    expect((await audited()).at(-1)).toEqual({
      kind: "fired",
      transaction: replies[2]!.transaction,
      name: "SET_BUY_TRIGGER",
      user: "u",
      symbol: "ABC",
      priceCents: 300,
      shares: 3,
      movedCents: [100],
    });
    expect(await waiting("buy")).toEqual([]);
  });

  test("that are met when they are set fire in that step", async () => {
    const [, , set] = await lines(
      ["ADD,u,100.00"],
      ["SET_BUY_AMOUNT,u,ABC,10.00"],
      ["SET_BUY_TRIGGER,u,ABC,4.00", 400],
    );
    expect(set).toMatchObject({ fired: 2, balanceCents: 9_200 });
  });

  test("a quote fires all triggers of both sides that it meets, and no other", async () => {
    const setUp = Array.from({ length: 50 }, (_, index) => [
      ready(`ADD,b${index},100.00`),
      ready(`SET_BUY_AMOUNT,b${index},ABC,50.00`),
      ready(`SET_BUY_TRIGGER,b${index},ABC,${index + 1}.00`, 9_999),
      ready(`ADD,s${index},100.00`),
      ready(`BUY,s${index},ABC,100.00`, 100),
      ready(`COMMIT_BUY,s${index}`),
      ready(`SET_SELL_AMOUNT,s${index},ABC,60.00`, 100),
      ready(`SET_SELL_TRIGGER,s${index},ABC,${index + 1}.00`, 1),
    ]).flat();
    expect((await execute(setUp)).filter(({ code }) => code !== undefined)).toEqual([]);
    expect(await waiting("buy")).toEqual([{ symbol: "ABC", priceCents: 5_000 }]);
    expect(await waiting("sell")).toEqual([{ symbol: "ABC", priceCents: 100 }]);
    // Buys at 20.00 and above, sells at 20.00 and below.
    expect(await fire("ABC", 2_000)).toEqual({ kind: "fired", count: 31 + 20 });
    expect(await fire("ABC", 2_000)).toMatchObject({ count: 0 });
    expect(await fire("ABC", 1, Date.now() - 61_000)).toEqual({ kind: "stale" });
  });

  test("more than one call fires are fired by further calls", async () => {
    const setUp = Array.from({ length: 500 }, (_, index) => [
      ready(`ADD,u${index},10.00`),
      ready(`SET_BUY_AMOUNT,u${index},ABC,10.00`),
      ready(`SET_BUY_TRIGGER,u${index},ABC,5.00`, 600),
    ]);
    for (let start = 0; start < 500; start += 100)
      await execute(setUp.slice(start, start + 100).flat());
    const counts = await fireAll("ABC", 500);
    expect(counts.reduce((sum, each) => sum + each)).toBe(500);
    expect(Math.max(...counts)).toBeLessThanOrEqual(200);
  });

  test("that cannot fire, because their accounts would exceed the bound, do not block those behind them", async () => {
    const key = new DeskKeys(1).balances;
    const setUp = Array.from({ length: 450 }, (_, index) => [
      ready(`ADD,u${index},10.00`),
      ready(`SET_BUY_AMOUNT,u${index},ABC,10.00`),
      // The first to be met come first.
      ready(`SET_BUY_TRIGGER,u${index},ABC,${index < 400 ? 3 : 9}.00`, 1_000),
    ]);
    for (let start = 0; start < 450; start += 90)
      await execute(setUp.slice(start, start + 90).flat());
    for (let index = 0; index < 400; index += 1)
      await redis.send("HSET", [key, `u${index}`, String(MAX_HELD)]);
    // Three shares, and a rest that would raise a full account above its bound.
    const counts = await fireAll("ABC", 300);
    expect(counts).toEqual([0, 0, 50]);
    expect(await fireAll("ABC", 300)).toEqual([0, 0, 0]);
    await redis.send("HSET", [key, "u7", "0"]);
    expect((await fireAll("ABC", 300)).reduce((sum, each) => sum + each)).toBe(1);
  });

  test("that wait cost a quote nothing: it looks once a side, for any number of them", async () => {
    /** How often each Redis command ran for this quote, including those of its script. */
    const calls = async (priceCents: number): Promise<Record<string, number>> => {
      await redis.send("CONFIG", ["RESETSTAT"]);
      await fire("ABC", priceCents);
      const stats = String(await redis.send("INFO", ["commandstats"]));
      const found = [...stats.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)];
      return Object.fromEntries(
        found.flatMap(([, name = "", count]) =>
          /config|info|evalsha|eval/.test(name) ? [] : [[name, Number(count)]],
        ),
      );
    };
    const desk = new DeskKeys(1);
    const members = (count: number) =>
      Array.from({ length: count }, (_, nth) => `ABC ${String(nth + 1).padStart(13, "0")} u${nth}`);
    await lines(["ADD,one,9.00"], ["SET_BUY_AMOUNT,one,ABC,9.00"]);
    const setTrigger = () => lines(["SET_BUY_TRIGGER,one,ABC,8.00", 900]);
    await setTrigger();
    const few = { none: await calls(801), one: await calls(800) };
    await lines(["SET_BUY_AMOUNT,one,ABC,1.00"], ["CANCEL_SET_BUY,one,ABC"]);
    await lines(["ADD,one,9.00"], ["SET_BUY_AMOUNT,one,ABC,9.00"]);
    await setTrigger();
    for (let start = 0; start < 700; start += 100) {
      const some = members(700).slice(start, start + 100);
      await redis.send("ZADD", [desk.buyTriggers, ...some.flatMap((each) => ["0", each])]);
    }
    expect(await calls(801)).toEqual(few.none);
    expect(few.none).toEqual({ zrangebylex: 1, zrevrangebylex: 1 });
    expect(await calls(800)).toEqual(few.one);
  });

  test("are listed by symbol and nearest price, for any number of symbols", async () => {
    const names = Array.from({ length: 700 }, (_, index) =>
      [26 * 26, 26, 1]
        .map((of) => String.fromCharCode(65 + (Math.floor(index / of) % 26)))
        .join(""),
    );
    const desk = new DeskKeys(1);
    const members = names.flatMap((name, index) =>
      [1, 2, 3].map((each) => `${name} ${String(index + each).padStart(13, "0")} u${each}`),
    );
    for (const key of [desk.buyTriggers, desk.sellTriggers])
      await redis.send("ZADD", [key, ...members.flatMap((member) => ["0", member])]);
    const all = async (side: "buy" | "sell") => {
      const first = await run(redis, waitingTriggers, { partition: 1, side });
      expect([first.waiting.length, first.more]).toEqual([500, true]);
      const after = first.waiting.at(-1)!.symbol;
      const second = await run(redis, waitingTriggers, { partition: 1, side, after });
      expect(second.more).toBe(false);
      return [...first.waiting, ...second.waiting];
    };
    const expected = (add: number) =>
      names.map((symbol, index) => ({ symbol, priceCents: index + add }));
    expect(await all("sell")).toEqual(expected(1));
    expect(await all("buy")).toEqual(expected(3).reverse());
  });
});

describe("any commands in any mixture", () => {
  const user = fc.constantFrom("u1", "u2", "u3");
  const symbol = fc.constantFrom("A", "BB", "CCC");
  const cents = fc.oneof(
    fc.integer({ min: 1, max: 5_000 }),
    fc.integer({ min: 1, max: 1_000_000_000_000 }),
    fc.constantFrom(1, 100, 1_000, 1_000_000_000_000),
  );
  const command = fc.record({
    name: fc.constantFrom(
      ...(["ADD", "ADD", "QUOTE", "BUY", "BUY", "COMMIT_BUY", "COMMIT_BUY", "CANCEL_BUY"] as const),
      ...([
        "SELL",
        "SELL",
        "COMMIT_SELL",
        "CANCEL_SELL",
        "SET_BUY_AMOUNT",
        "SET_BUY_TRIGGER",
      ] as const),
      ...(["CANCEL_SET_BUY", "SET_SELL_AMOUNT", "SET_SELL_AMOUNT", "SET_SELL_TRIGGER"] as const),
      ...(["SET_SELL_TRIGGER", "CANCEL_SET_SELL", "DISPLAY_SUMMARY"] as const),
    ),
    user,
    symbol,
    cents,
    file: fc.constant(""),
  });
  const step = fc.record({
    commands: fc.array(command, { minLength: 1, maxLength: 40 }),
    quotes: fc.record({
      A: fc.option(fc.integer({ min: 1, max: 2_000 }), { nil: undefined }),
      BB: fc.integer({ min: 1, max: 2_000 }),
      CCC: fc.constantFrom(1, 500, 1_000_000_000_000),
    }),
    fires: fc.boolean(),
  });

  test("end as the plain model says; the books equal the sum of their events, and the audit rebuilds them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        await clear(redis);
        const model = new DeskModel(FOREVER_MS);
        for (const { commands, quotes, fires } of steps) {
          const quoteOf = (each: DeskCommand) => quotes[each.symbol as keyof typeof quotes];
          const expected = commands.map((each) => model.execute(each, Date.now(), quoteOf(each)));
          const replies = await execute(
            commands.map(({ file: _, ...each }) => ({
              ...each,
              ...at(quoteOf({ ...each, file: "" }) ?? 0),
            })),
            FOREVER_MS,
          );
          expect(replies).toMatchObject(
            expected.map((reply) => {
              const { ok: __, ...rest } = reply;
              return rest;
            }),
          );
          if (!fires) continue;
          for (const [of, price] of Object.entries(quotes)) {
            if (price !== undefined) await fire(of, price);
            if (price !== undefined) model.fire(of, price);
          }
        }
        const users = [...model.books().keys()];
        if (users.length === 0) return;
        expect(await books(...users)).toEqual([...model.books().values()]);
        const sums = new Map<string, number>();
        for (const event of await audited()) {
          for (const moved of "movedCents" in event ? event.movedCents : []) {
            sums.set(event.user, (sums.get(event.user) ?? 0) + moved);
          }
        }
        for (const [name, { balanceCents }] of model.books()) {
          expect(sums.get(name)).toBe(balanceCents);
        }
        const desk = new DeskKeys(1);
        for (const [name, told] of Object.entries(await replayed())) {
          expect(await redis.send("HGETALL", [desk[name as AuditedHash]])).toEqual(told);
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
