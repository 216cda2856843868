/**
 * The desk under `kill -9`: servers while users trade, Redis with them, and the watch that fires
 * triggers right before and right after it fires. The results are compared with the plain model,
 * the books and the audit.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { parseDeskLine } from "../../domain/desk/command.ts";
import { commitAccounts } from "../../workers/desk/stored/commit.ts";
import { DeskModel } from "../support/desk-model.ts";
import { aroundScripts } from "./disaster.ts";
import { askedQuoteKey } from "../../workers/desk/stored/keys.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { openSqliteAudit } from "../../workers/desk/audit/sqlite.ts";
import { auditEvents, readBooks, sumEvents } from "../support/desk-audit.ts";
import { freePort } from "../support/ports.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { sendLines, startTradingDesk, type TradingDesk } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(120_000);

const CENTS: Readonly<Record<string, number>> = { ABC: 500, XYZ: 800 };
const PRICES = { ABC: "5.00", XYZ: "8.00" };
const FOREVER_MS = 100_000_000;
const USERS = Array.from({ length: 24 }, (_, index) => `user${index}`);

let desk: TradingDesk;
let store: AuditStore;
const watches: RoleProcess[] = [];
const model = new DeskModel(FOREVER_MS);
/** `user command symbol` → the transaction that set the trigger last. */
const setBy = new Map<string, number>();

beforeAll(async () => {
  desk = await startTradingDesk({ servers: 2, prices: PRICES, durability: "always" });
  store = openSqliteAudit(desk.data);
});
afterAll(async () => {
  await Promise.all(watches.map((watch) => watch.stop()));
  await store.close();
  await desk.stop();
});

/**
 * The commands of a user, in order: they trade, set triggers that no quote meets yet, and cancel
 * some.
 */
function generateLines(user: string, nth: number): string[] {
  const rounds = Array.from({ length: 8 }, (_, round) => [
    `ADD,${user},${100 + nth + round}.00`,
    `BUY,${user},ABC,40.00`,
    `COMMIT_BUY,${user}`,
    `SET_BUY_AMOUNT,${user},ABC,${20 + round}.00`,
    `SET_BUY_TRIGGER,${user},ABC,${1 + ((nth + round) % 4)}.00`,
    `BUY,${user},XYZ,50.00`,
    round % 3 === 0 ? `CANCEL_BUY,${user}` : `COMMIT_BUY,${user}`,
    `SELL,${user},ABC,10.00`,
    `COMMIT_SELL,${user}`,
    `SET_SELL_AMOUNT,${user},XYZ,30.00`,
    `SET_SELL_TRIGGER,${user},XYZ,${9 + ((nth + round) % 4)}.00`,
    ...(round % 4 === 1 ? [`CANCEL_SET_BUY,${user},ABC`, `CANCEL_SET_SELL,${user},XYZ`] : []),
  ]);
  return rounds.flat();
}

/** Sends it to either server until a reply says whether it was executed. */
async function trade(user: string, nth: number, onReply: () => void): Promise<void> {
  let at = nth;
  for (const [index, line] of generateLines(user, nth).entries()) {
    const parsed = parseDeskLine(line);
    if (parsed.kind !== "command") throw new Error(parsed.code);
    const { name, symbol } = parsed.command;
    const expected = model.execute(parsed.command, Date.now(), CENTS[symbol]);
    const text = `[${index + 1}] ${line}`;
    const reply = await until("it is answered", async () => {
      const server = desk.servers[at % 2]!;
      const [reported] = await sendLines(server, desk.token, [text], "s").catch(() => []);
      if (reported && reported.code !== "OUTCOME_UNKNOWN") return reported;
      at += 1;
      return undefined;
    });
    expect([text, reply]).toMatchObject([text, expected]);
    if (name.endsWith("_TRIGGER")) setBy.set(`${user} ${name} ${symbol}`, reply.transaction ?? 0);
    onReply();
  }
}

test("desk servers killed five times and Redis once: every reply and all books are the plain model's", async () => {
  // Without Redis the only available quote is the one that a server has cached.
  for (const server of desk.servers) {
    await sendLines(server, desk.token, ["ADD,warm,1.00", "QUOTE,warm,ABC", "QUOTE,warm,XYZ"]);
  }
  let replies = 0;
  const all = USERS.flatMap((user, nth) => generateLines(user, nth)).length;
  const trading = Promise.all(USERS.map((user, nth) => trade(user, nth, () => (replies += 1))));
  const killing = (async () => {
    for (let kill = 0; kill < 6; kill += 1) {
      // Spread over the run, however fast it is.
      await until("the run has come that far", () => replies > (all * (kill + 1)) / 8, 60_000);
      const victim = kill === 0 ? desk.redis : desk.servers[kill % 2]!;
      await victim.kill();
      await victim.restart();
    }
  })();
  await Promise.all([trading, killing]);

  expect(await readBooks(desk.client, USERS)).toEqual(USERS.map((user) => model.books().get(user)));
  const events = await auditEvents(store, desk.client);
  const sums = sumEvents(events);
  for (const user of USERS) {
    expect([user, sums.get(user)]).toEqual([user, model.books().get(user)!.balanceCents]);
  }
  const commands = events.filter(({ kind, user }) => kind === "command" && USERS.includes(user));
  expect(commands).toHaveLength(all);
});

async function startWatch(crashAt?: string): Promise<RoleProcess> {
  const watch = await startRole("quotes", {
    ...desk.env,
    FANFARE_QUOTES_PORT: String(await freePort()),
    FANFARE_CONSUMER: crashAt?.replace(":", "-") ?? `quotes${watches.length + 1}`,
    ...(crashAt === undefined ? {} : { FANFARE_CRASH_AT: `${crashAt}:1:kill` }),
  });
  watches.push(watch);
  return watch;
}

/** It may die before it has printed that it is ready. */
async function startDoomedWatch(crashAt: string): Promise<void> {
  const watch = await startWatch(crashAt).catch(() => undefined);
  if (watch) await until(`it is dead ${crashAt}`, () => isGone(watch), 30_000);
}

function isGone({ pid }: RoleProcess): boolean {
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}

test("two watches killed around the firing: each trigger that the quotes meet fires once, and no other trigger fires", async () => {
  desk.fixPrices({ ABC: "3.00", XYZ: "10.00" });
  // As if a minute had passed.
  await desk.client.send("DEL", [askedQuoteKey("ABC"), askedQuoteKey("XYZ")]);
  await Promise.all(aroundScripts(commitAccounts).map(startDoomedWatch));
  const half = (await auditEvents(store, desk.client)).filter(({ kind }) => kind === "fired");
  expect(half.length).toBeGreaterThan(0);
  await Promise.all([startWatch(), startWatch()]);
  model.fire("ABC", 300);
  model.fire("XYZ", 1_000);
  const expected = USERS.map((user) => model.books().get(user));
  await until(
    "the books are the model's",
    async () => Bun.deepEquals(await readBooks(desk.client, USERS), expected),
    30_000,
  );

  const events = await auditEvents(store, desk.client);
  const fired = events.flatMap((event) => (event.kind === "fired" ? [event] : []));
  expect(half.length).toBeLessThan(fired.length);
  const names = fired.map(({ user, name, symbol }) => `${user} ${name} ${symbol}`);
  expect(new Set(names).size).toBe(fired.length);
  for (const [index, { transaction }] of fired.entries()) {
    expect(setBy.get(names[index]!)).toBe(transaction);
  }
  const sums = sumEvents(events);
  for (const [index, user] of USERS.entries()) {
    expect([user, sums.get(user)]).toEqual([user, expected[index]!.balanceCents]);
  }
});
