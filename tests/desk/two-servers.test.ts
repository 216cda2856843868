/**
 * Two desk servers with the same books: the commands of many users at both give the same
 * result as the plain model.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDeskLine, type DeskCommand } from "../../domain/desk/command.ts";
import { DeskModel } from "../support/desk-model.ts";
import { formatCents } from "../../domain/money.ts";
import { openSqliteAudit } from "../../workers/desk/audit/sqlite.ts";
import { auditEvents, readBooks, sumEvents } from "../support/desk-audit.ts";
import { openDeskSocket, type DeskSocket } from "../support/desk-socket.ts";
import { sendLines, startTradingDesk, type TradingDesk } from "../support/trading-desk.ts";

const PRICES = { A: "0.01", BB: "5.00", CCC: "250.75" } as const;
const CENTS = { A: 1, BB: 500, CCC: 25_075 } as const;
const FOREVER_MS = 100_000_000;

let desk: TradingDesk;
let sockets: DeskSocket[] = [];
beforeAll(async () => {
  desk = await startTradingDesk({ servers: 2, prices: PRICES });
  sockets = await Promise.all(desk.servers.map((server) => openDeskSocket(server, desk.token)));
}, 30_000);
afterAll(async () => {
  for (const socket of sockets) socket.close();
  await desk.stop();
});

/** The movements of every user's events, and how often the most frequent transaction occurs. */
async function audited(): Promise<{ sums: ReadonlyMap<string, number>; most: number }> {
  const store = openSqliteAudit(desk.data);
  const events = await auditEvents(store, desk.client);
  await store.close();
  const commands = Map.groupBy(
    events.filter(({ kind }) => kind === "command"),
    ({ transaction }) => transaction,
  );
  return {
    sums: sumEvents(events),
    most: Math.max(...[...commands.values()].map((of) => of.length)),
  };
}

function modelReply(model: DeskModel, command: DeskCommand): object {
  return model.execute(command, Date.now(), CENTS[command.symbol as keyof typeof CENTS]);
}

const amount = fc
  .oneof(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 1_000_000_000_000 }))
  .map(formatCents);
const symbol = fc.constantFrom("A", "BB", "CCC");
const step = fc.record({
  user: fc.integer({ min: 0, max: 11 }),
  server: fc.integer({ min: 0, max: 1 }),
  line: fc.oneof(
    ...[
      "BUY",
      "SELL",
      "SET_BUY_AMOUNT",
      "SET_BUY_TRIGGER",
      "SET_SELL_AMOUNT",
      "SET_SELL_TRIGGER",
    ].map((name) => fc.tuple(symbol, amount).map(([of, cents]) => `${name},USER,${of},${cents}`)),
    ...["CANCEL_SET_BUY", "CANCEL_SET_SELL", "QUOTE"].map((name) =>
      symbol.map((of) => `${name},USER,${of}`),
    ),
    ...[
      "COMMIT_BUY",
      "COMMIT_BUY",
      "COMMIT_SELL",
      "CANCEL_BUY",
      "CANCEL_SELL",
      "DISPLAY_SUMMARY",
    ].map((name) => fc.constant(`${name},USER`)),
    amount.map((cents) => `ADD,USER,${cents}`),
    amount.map((cents) => `ADD,USER,${cents}`),
  ),
});

test("random commands of many users at two servers give the result of the plain model, and the audit adds up", async () => {
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 200 }), async (steps) => {
      runs += 1;
      const model = new DeskModel(FOREVER_MS);
      const name = (user: number) => `run${runs}u${user}`;
      // Each user waits for each reply, at either server; all users run at once.
      const byUser = Map.groupBy(steps, ({ user }) => user);
      await Promise.all(
        [...byUser].map(async ([user, own]) => {
          for (const { server, line } of own) {
            const text = line.replace("USER", name(user));
            const parsed = parseDeskLine(text);
            if (parsed.kind !== "command") throw new Error(parsed.code);
            const reply = await sockets[server]!.send(text);
            expect(reply).toMatchObject(modelReply(model, parsed.command));
          }
        }),
      );
      const users = [...model.books().keys()];
      expect(await readBooks(desk.client, users)).toEqual([...model.books().values()]);
      const { sums, most } = await audited();
      for (const [user, { balanceCents }] of model.books()) {
        expect([user, sums.get(user)]).toEqual([user, balanceCents]);
      }
      expect(most).toBe(1);
    }),
    { numRuns: 25 },
  );
}, 120_000);

test("commands sent again after a server was killed are executed once, and none is lost", async () => {
  const model = new DeskModel(FOREVER_MS);
  const users = Array.from({ length: 20 }, (_, index) => `kill${index}`);
  const lines = (user: string) =>
    Array.from({ length: 60 }, (_, index) => [
      `ADD,${user},${10 + index}.00`,
      `BUY,${user},BB,20.00`,
      `COMMIT_BUY,${user}`,
    ]).flat();
  let over = false;
  let kills = 0;
  const killing = (async () => {
    while (!over) {
      const server = desk.servers[kills % 2]!;
      await server.kill();
      kills += 1;
      await server.restart();
    }
  })();
  let again = 0;
  await Promise.all(
    users.map(async (user, index) => {
      let at = index;
      for (const [number, line] of lines(user).entries()) {
        const parsed = parseDeskLine(line);
        if (parsed.kind !== "command") throw new Error(parsed.code);
        const expected = modelReply(model, parsed.command);
        for (;;) {
          try {
            const server = desk.servers[at % 2]!;
            const [reply] = await sendLines(server, desk.token, [`[${number + 1}] ${line}`], user);
            expect(reply).toMatchObject({ n: number + 1, ...expected });
            break;
          } catch (error) {
            // It was lost on the way there or back, which the sender cannot know. It is sent again
            // to the other server.
            if (error instanceof Error && error.message.includes("expect(")) throw error;
            at += 1;
            again += 1;
            await Bun.sleep(5);
          }
        }
      }
    }),
  );
  over = true;
  await killing;
  expect(kills).toBeGreaterThan(1);
  expect(again).toBeGreaterThan(0);
  expect(await readBooks(desk.client, users)).toEqual(users.map((user) => model.books().get(user)));
  const { sums, most } = await audited();
  for (const user of users) expect(sums.get(user)).toBe(model.books().get(user)!.balanceCents);
  expect(most).toBe(1);
}, 120_000);
