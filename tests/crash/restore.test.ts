/**
 * The desk's Redis is lost, completely or in part, and the command rebuilds its accounts from their
 * audit.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { AccountId, SubscriptionId } from "../../domain/ids.ts";
import { bucketOf } from "../../workers/venues/desk/api.ts";
import { sellContracts } from "../../workers/desk/stored/sell.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { openSqliteAudit } from "../../workers/desk/audit/sqlite.ts";
import { connectDesk } from "../../workers/copier/brokers/desk/desk.ts";
import { run } from "../../workers/runtime/redis.ts";
import { runCommand } from "../support/command.ts";
import { auditEvents, readBooks, PARTITIONS, sumEvents } from "../support/desk-audit.ts";
import { freePort } from "../support/ports.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import {
  sendLines,
  startTradingDesk,
  type DeskReply,
  type TradingDesk,
} from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const USERS = Array.from({ length: 20 }, (_, index) => `user${index}`);
const SHORT = `s0_${"1".repeat(32)}`;
const LONG = `s0_${"2".repeat(32)}`;

let desk: TradingDesk;
let store: AuditStore;
let auditRole: RoleProcess;
let roles: RoleProcess[] = [];

beforeAll(async () => {
  desk = await startTradingDesk({
    servers: 1,
    prices: { ABC: "5.00" },
    durability: "always",
    audit: false,
  });
  store = openSqliteAudit(desk.data);
  await startAudit();
  const own = { ...desk.env, FANFARE_QUOTES_PORT: String(await freePort()) };
  roles = [await startRole("quotes", own), await startRole("settle", own)];
});
afterAll(async () => {
  await Promise.all([auditRole, ...roles].map((role) => role.stop()));
  await store.close();
  await desk.stop();
});

async function startAudit(): Promise<void> {
  auditRole = await startRole("audit", { ...desk.env, FANFARE_CONSUMER: "audit" });
}

const send = (lines: readonly string[], session?: string): Promise<DeskReply[]> =>
  sendLines(desk.servers[0]!, desk.token, lines, session);

/** All kinds of state: shares, pending orders, and waiting triggers of both sides. */
const trade = (users: readonly string[] = USERS): Promise<DeskReply[]> =>
  send(
    users.flatMap((user, nth) => [
      `ADD,${user},${1_000 + nth}.00`,
      `BUY,${user},ABC,200.00`,
      `COMMIT_BUY,${user}`,
      `SET_BUY_AMOUNT,${user},ABC,60.00`,
      `SET_BUY_TRIGGER,${user},ABC,${1 + (nth % 4)}.00`,
      `SET_SELL_AMOUNT,${user},ABC,60.00`,
      `SET_SELL_TRIGGER,${user},ABC,${6 + (nth % 4)}.00`,
      `BUY,${user},ABC,50.00`,
      `SELL,${user},ABC,20.00`,
    ]),
    "first",
  );

async function openContracts(bucket: string, durationSeconds: number): Promise<void> {
  const accounts = USERS.map((user) => user as AccountId);
  const answers = await connectDesk(desk.servers[0]!.url, desk.token).open({
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds,
    shard: 0,
    validUntilMs: Date.now() + 5_000,
    orders: accounts.map((account, index) => ({
      clientOrderId: `${bucket}.${index}` as never,
      subscription: String(index) as SubscriptionId,
      account,
      stakeCents: 1_000 + index,
    })),
  });
  expect(JSON.stringify(answers)).not.toContain("rejected");
}

/** Some keys of each partition, and all keys of one. */
async function sellSome(bucket: string): Promise<number> {
  let sold = 0;
  for (const partition of PARTITIONS.all()) {
    const own = [...USERS.keys()].filter(
      (index) => PARTITIONS.ofAccount(USERS[index] as AccountId) === partition,
    );
    const names = (partition === 0 ? own : own.slice(0, 2)).map(String);
    const call = { partition, partitions: PARTITIONS.count, server: "seller" };
    const orders = { bucket, shard: 0, names };
    const close = `s0_${"3".repeat(32)}` as never;
    const { contracts } = await run(desk.client, sellContracts, { ...call, close, orders });
    sold += contracts.filter((each) => each?.sale).length;
  }
  return sold;
}

const restore = (...words: string[]) =>
  runCommand(["workers/commands/main.ts", "desk:restore", ...words], desk.env);
const prove = () => runCommand(["workers/commands/main.ts", "desk:prove"], desk.env);

/** The audit role has written everything. */
async function drained(): Promise<void> {
  for (const partition of PARTITIONS.all()) {
    const { audit } = new DeskKeys(partition);
    await until("the audit is drained", async () => {
      const [last] = (await desk.client.send("XREVRANGE", [audit, "+", "-", "COUNT", "1"])) as [
        string,
      ][];
      const newest = (await Array.fromAsync(store.read({ partition }))).at(-1);
      return last === undefined || newest?.id === last[0];
    });
  }
}

/** The content of every key of the books. */
async function standing(): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const partition of PARTITIONS.all()) {
    const desk_ = new DeskKeys(partition);
    for (const name of ["balances", "positions", "buys", "sells", "symbols", "deposits"] as const) {
      found[`${partition} ${name}`] = await desk.client.send("HGETALL", [desk_[name]]);
    }
    found[`${partition} sessions`] = await desk.client.send("HGETALL", [desk_.sessions]);
    for (const bucket of [SHORT, LONG]) {
      const key = desk_.contracts(bucketOf(`${bucket}.0` as never));
      found[`${partition} ${bucket}`] = await desk.client.send("HGETALL", [key]);
    }
    for (const name of ["buyTriggers", "sellTriggers", "expiries"] as const) {
      const range = [desk_[name], "0", "-1", "WITHSCORES"];
      found[`${partition} ${name}`] = await desk.client.send("ZRANGE", range);
    }
    const settlements = await desk.client.send("XRANGE", [desk_.settlements, "-", "+"]);
    found[`${partition} settlements`] = (settlements as [string, string[]][]).map(
      ([, flat]) => flat,
    );
  }
  return found;
}

async function expectProven(): Promise<void> {
  const sums = sumEvents(await auditEvents(store, desk.client));
  const books = await readBooks(desk.client, USERS);
  for (const [index, user] of USERS.entries()) {
    expect([user, books[index]?.balanceCents]).toEqual([user, sums.get(user)]);
  }
}

const transactionsOf = (replies: readonly DeskReply[]): number[] =>
  replies.map(({ transaction }) => transaction ?? 0);

test("a Redis that is lost completely is rebuilt: every account, trigger, session and contract as before", async () => {
  const replies = await trade();
  expect(replies.filter(({ ok }) => !ok)).toEqual([]);
  await send(["[7] ADD,user0,5.00"], "mine");
  await openContracts(SHORT, 1);
  await openContracts(LONG, 8);
  await until("the short ones are settled", async () => {
    const due = PARTITIONS.all().map((each) =>
      desk.client.send("ZCARD", [new DeskKeys(each).expiries]),
    );
    const left = (await Promise.all(due)).reduce((sum: number, each) => sum + Number(each), 0);
    return left === PARTITIONS.count;
  });
  expect(await sellSome(LONG)).toBeGreaterThan(PARTITIONS.count);
  await drained();
  const before = await standing();
  const books = await readBooks(desk.client, USERS);

  await desk.client.send("FLUSHALL", []);
  expect(await readBooks(desk.client, USERS)).toEqual(USERS.map(() => undefined));
  // Until then no account begins with nothing.
  const refused = await send(["ADD,user0,5.00", "ADD,new,5.00", "BUY,user1,ABC,5.00"]);
  expect(refused.map(({ ok }) => ok)).toEqual([false, false, false]);
  const body = JSON.stringify({ deposits: [{ id: "d", account: "user0", amountCents: 100 }] });
  const headers = { authorization: `Bearer ${desk.token}`, "content-type": "application/json" };
  const url = `${desk.servers[0]!.url}/v1/deposits`;
  expect((await fetch(url, { method: "POST", headers, body })).status).toBe(503);
  expect(await readBooks(desk.client, [...USERS, "new"])).toEqual(
    [...USERS, "new"].map(() => undefined),
  );
  const { code, out } = await restore();
  expect([code, out.match(/restored/g)?.length]).toEqual([0, PARTITIONS.count]);
  expect(await standing()).toEqual(before);
  expect(await readBooks(desk.client, USERS)).toEqual(books);
  await expectProven();

  // It continues as if nothing had happened.
  expect(await send(["[7] ADD,user0,5.00"], "mine")).toMatchObject([{ n: 7, ok: true }]);
  const [next] = await send(["ADD,user0,1.00"]);
  expect(next).toMatchObject({ balanceCents: books[0]!.balanceCents + 100 });
  expect(next!.transaction).toBeGreaterThan(Math.max(...transactionsOf(replies)));
  await until("the long ones settle when they are due", async () => {
    const due = PARTITIONS.all().map((each) =>
      desk.client.send("ZCARD", [new DeskKeys(each).expiries]),
    );
    return (await Promise.all(due)).every((count) => count === 0);
  });
  await expectProven();
});

test("desk:prove passes after a loss, contracts and sales included, and names a planted error", async () => {
  expect(await prove()).toMatchObject({ code: 0, out: expect.stringContaining("books proven") });
  const key = new DeskKeys(PARTITIONS.ofAccount("user9" as AccountId)).balances;
  await desk.client.send("HINCRBY", [key, "user9", "1"]);
  const { code, out } = await prove();
  expect([code, out.match(/^user\d+: /gm)]).toEqual([1, ["user9: "]]);
  await desk.client.send("HINCRBY", [key, "user9", "-1"]);
});

test("restoring a desk that agrees with its audit changes nothing, drained or not", async () => {
  await auditRole.stop();
  await send(USERS.map((user) => `ADD,${user},1.00`));
  const before = await standing();
  const counters = () =>
    Promise.all(
      PARTITIONS.all().map((each) => desk.client.send("GET", [new DeskKeys(each).transactions])),
    );
  const counted = await counters();
  const { code, out } = await restore();
  expect([code, out.match(/agrees with its audit/g)?.length]).toEqual([0, PARTITIONS.count]);
  expect(await standing()).toEqual(before);
  expect(await counters()).toEqual(counted);
  await startAudit();
  await drained();
});

test("lost parts are restored, and existing ones do not change", async () => {
  const before = await standing();
  const keys = new DeskKeys(PARTITIONS.ofAccount("user3" as AccountId));
  await desk.client.send("HDEL", [keys.balances, "user3"]);
  await desk.client.send("DEL", [keys.buyTriggers]);
  await desk.client.send("HSET", [keys.positions, "user3 ABC", "999999"]);
  const { code, out } = await restore();
  expect(code).toBe(0);
  expect(out.match(/restored/g)).toHaveLength(1);
  expect(await standing()).toEqual(before);
  await expectProven();
});

test("a Redis that lost its tail gets back what was drained; the rest is lost, and numbers are never given twice", async () => {
  const early = desk.redis.appendedBytes();
  const lost = await send(USERS.map((user) => `ADD,${user},7.00`));
  await drained();
  const books = await readBooks(desk.client, USERS);
  const drainedState = await standing();
  await auditRole.stop();
  const undrained = await send(USERS.map((user) => `ADD,${user},9.00`));
  for (const role of roles) await role.stop();
  await desk.redis.kill();
  desk.redis.cutTo(early);
  await desk.redis.restart();

  const behind = await until("Redis answers", () =>
    readBooks(desk.client, USERS).catch(() => false),
  );
  expect(behind).not.toEqual(books);
  expect(await restore()).toMatchObject({ code: 0 });
  expect(await readBooks(desk.client, USERS)).toEqual(books);
  expect(await standing()).toEqual(drainedState);
  await startAudit();
  const after = await send(USERS.map((user) => `ADD,${user},1.00`));
  await expectProven();
  const numbers = transactionsOf([...lost, ...undrained, ...after]);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect((await restore()).out).not.toContain("restored");
});

test("changes that the audit does not have are not overwritten, unless forced", async () => {
  await drained();
  const older = await readBooks(desk.client, USERS);
  await auditRole.stop();
  await send(USERS.map((user) => `ADD,${user},3.00`));
  const newer = await readBooks(desk.client, USERS);
  for (const partition of PARTITIONS.all()) {
    await desk.client.send("DEL", [new DeskKeys(partition).audit]);
  }
  const { code, out } = await restore();
  expect([code, out.match(/left as it is: it has/g)?.length]).toEqual([1, PARTITIONS.count]);
  expect(await readBooks(desk.client, USERS)).toEqual(newer);
  expect(await restore("--force")).toMatchObject({ code: 0 });
  expect(await readBooks(desk.client, USERS)).toEqual(older);
  await startAudit();
  await expectProven();
});

test("an audit that contradicts itself, because the desk continued after a loss, is named and not used", async () => {
  const early = desk.redis.appendedBytes();
  await send(["ADD,user5,11.00"]);
  await drained();
  await desk.redis.kill();
  desk.redis.cutTo(early);
  await desk.redis.restart();
  await until("the desk goes on", async () => (await send(["ADD,user5,13.00"]))[0]?.ok);
  await drained();
  const books = await readBooks(desk.client, ["user5"]);
  // Something else is lost too.
  const keys = new DeskKeys(PARTITIONS.ofAccount("user5" as AccountId));
  await desk.client.send("DEL", [keys.sellTriggers]);
  const { code, out } = await restore();
  expect(code).toBe(1);
  expect(out).toContain("1 accounts do not add up to their balance (user5)");
  expect(await readBooks(desk.client, ["user5"])).toEqual(books);
  expect(await restore("--force")).toMatchObject({ code: 0 });
});
