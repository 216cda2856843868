/**
 * Today's code continues from the data that an earlier release left in the middle of its work. Each
 * dump of `dump.ts` is loaded into real stores, the real processes are started on it, and the
 * verdict is read from the records and the desk's books.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { openRecords } from "../../workers/records/open.ts";
import type { OrderRecord, Records } from "../../workers/records/port.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { standardSecret } from "../../workers/commands/seed/hooks.ts";
import type { RunningEdge } from "../runtime/launch.ts";
import { readBooks } from "../support/copier.ts";
import { startMongo } from "../support/mongo.ts";
import { sendLines } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";
import {
  CHANGED_STAKE_CENTS,
  CHANNEL,
  DRAINED_CHANNEL,
  HALTED_CHANNEL,
  KEY_HEADER,
  LONG_SECONDS,
  PROVIDER,
  SIGNAL,
  TRADER,
  type Facts,
  type Signals,
} from "./facts.ts";
import { openSystem, type System } from "./system.ts";
import { dumpsIn, loadMongo, loadRedis, loadSqlite } from "./stored.ts";

setDefaultTimeout(60_000);

const PATIENCE_MS = 30_000;
const ROLES = [
  "simulator",
  "quotes",
  "desk",
  "settle",
  "recorder",
  "audit",
  "records",
  "dispatch",
  "broker",
];

/** The followers of every signal, without the one who left before the first. */
const COPIES = Array.from({ length: 8 }, (_, n) => `demo-sub-000${n + 1}` as SubscriptionId);
/** By subscription, as its plan has it: sized, sized, sized, sized, of another symbol, too poor, paused, halted. */
const outcomes = (...each: readonly string[]): Record<string, string> =>
  Object.fromEntries(COPIES.map((copy, n) => [copy, each[n] ?? ""]));
const OTHERWISE = ["skipped SYMBOL_NOT_ALLOWED", "rejected BALANCE_TOO_LOW", "skipped PAUSED"];
const PLACED = outcomes("placed", "placed", "placed", "placed", ...OTHERWISE, "skipped HALTED");
const LATE = outcomes(
  "skipped TOO_LATE",
  "skipped TOO_LATE",
  "skipped TOO_LATE",
  "skipped TOO_LATE",
  "skipped SYMBOL_NOT_ALLOWED",
  "skipped TOO_LATE",
  "skipped PAUSED",
  "skipped HALTED",
);
const NEVER = Array.from({ length: 4 }, () => "skipped NOT_OPEN");

/**
 * The required outcomes of each signal of a dump. Of `sent`, the orders that the desk had taken are
 * placed.
 */
const ENDS: Readonly<Record<Exclude<keyof Signals, "sent">, Readonly<Record<string, string>>>> = {
  settled: PLACED,
  closed: PLACED,
  close: outcomes("closed", "closed", "closed", "closed", ...NEVER),
  unrecorded: PLACED,
  intended: LATE,
  // Its desk did not answer: not even the balance from which the fourth's stake is computed, in the
  // eighth's shard.
  unknown: { ...LATE, "demo-sub-0008": "skipped TOO_LATE" },
  enqueued: LATE,
  enqueuedClose: outcomes(...NEVER, ...NEVER),
  undispatched: LATE,
};

const mongo = await startMongo();
afterAll(() => mongo?.stop());
const dumps = dumpsIn(import.meta.dir).filter(({ driver }) => driver === "sqlite" || mongo);

describe.each(dumps)("from $release, records in $driver", (dump) => {
  const folder = join(import.meta.dir, dump.release, dump.driver);
  const facts = JSON.parse(readFileSync(join(folder, "facts.json"), "utf8")) as Facts;
  const { signals, secrets } = facts;
  let system: System;
  let edge: RunningEdge;
  let client: Redis;
  let records: Records;
  /** The orders as recorded at the dump. */
  let ordersThen: ReadonlyMap<string, readonly OrderRecord[]>;
  /** The copies of `sent` that the desk had opened by then. */
  let openedThen: readonly string[];
  const refusals: [code: number, err: string][] = [];

  const ask = (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) =>
    system.ask(edge, PROVIDER, path, body, headers);
  const desk = async (line: string) =>
    (
      await sendLines(
        { url: system.env["FANFARE_DESK_URL"] ?? "" },
        secrets.deskToken,
        [line],
        "upgrade",
      )
    )[0];
  const ordersOf = async (id: SignalId): Promise<OrderRecord[]> =>
    await records.orders.find({ where: { signal: id }, sort: { field: "_id" } });

  beforeAll(async () => {
    // Open contracts of the dump are sold, settled or void, depending on the clock.
    expect(Date.now()).toBeGreaterThan(facts.expiredFromMs);
    system = await openSystem(secrets, dump.driver === "mongo" ? mongo : undefined);
    await loadRedis(system.redis.url, folder);
    if (system.mongo) await loadMongo(system.mongo.uri, folder);
    else loadSqlite(system.data, folder);
    client = connectRedis(system.redis.url);
    records = await openRecords({ FANFARE_DATA: system.data, MONGODB_URI: system.mongo?.uri });
    ordersThen = Map.groupBy(await Array.fromAsync(records.orders.each({})), (each) => each.signal);
    openedThen = [...(await readBooks(client, signals.sent)).contracts.keys()];
    for (const partitions of ["2", "8"]) {
      const more = { FANFARE_PARTITIONS: partitions };
      const { code, err } = await system.command(["workers/commands/main.ts", "desk:prove"], more);
      refusals.push([code, err]);
    }
    system.fixPrices({ ABC: "5.00", XYZ: "20.00" });
    for (const role of ROLES) await system.start(role);
    edge = await system.edge();
  });
  afterAll(async () => {
    client?.close();
    await records?.close();
    await system?.stop();
  });

  test("nothing starts on it with another number of partitions", () => {
    expect(refusals).toEqual(
      [2, 8].map(() => [2, expect.stringContaining("set FANFARE_PARTITIONS to")]),
    );
  });

  test("every copy in progress ends in exactly one outcome", async () => {
    for (const [name, id] of Object.entries(signals)) {
      await until(`${name} ends`, async () => await isOver(id), PATIENCE_MS);
    }
    const opened = openedThen.map((order) => order.slice(order.indexOf(".") + 1));
    expect(opened.length).toBeGreaterThan(0);
    const sent = { ...LATE, ...Object.fromEntries(opened.map((copy) => [copy, "placed"])) };
    for (const [name, expected] of Object.entries({ ...ENDS, sent })) {
      const id = signals[name as keyof Signals];
      expect([name, listOutcomes(await ended(id))]).toEqual([name, expected]);
    }
  });

  test("the desk's books hold each placed order once, and no other", async () => {
    for (const [name, id] of Object.entries(signals)) {
      const placed = (await ordersOf(id)).filter(({ outcome }) => outcome === "placed");
      const { contracts } = await readBooks(client, id);
      expect([name, [...contracts.keys()].toSorted()]).toEqual([
        name,
        placed.map(({ subscription }) => clientOrderId(id, subscription as SubscriptionId)),
      ]);
    }
  });

  test("open contracts are settled, and their money is back in the account", async () => {
    const stakes = new Map<string, number>();
    for (const id of [signals.unrecorded, signals.sent]) {
      const placed = await until("all is settled, and recorded", async () => {
        const orders = (await ordersOf(id)).filter(({ outcome }) => outcome === "placed");
        return orders.every(({ settlement }) => settlement !== undefined) && orders;
      });
      for (const { account, settlement, stakeCents = 0, returnCents } of placed) {
        expect({ settlement, returnCents }).toEqual({
          settlement: "void",
          returnCents: stakeCents,
        });
        stakes.set(account, (stakes.get(account) ?? 0) + stakeCents);
      }
    }
    for (const [account, cents] of Object.entries(facts.balances)) {
      expect([account, await readBalance(account)]).toEqual([
        account,
        cents + (stakes.get(account) ?? 0),
      ]);
    }
  });

  test("finished signals are shown and recorded as before", async () => {
    for (const [id, progress] of Object.entries(facts.progress)) {
      expect((await ask(`GET /v1/signals/${id}`)).body).toEqual(renamed(progress));
    }
    for (const id of [signals.settled, signals.closed, signals.close]) {
      expect(await ordersOf(id)).toEqual(ordersThen.get(id)!.toSorted(byId));
    }
    const { events } = new RegionKeys(0);
    expect(await client.send("XLEN", [`${events}:dead`])).toBe(1);
  });

  test("the roster, the books, the log and every outcome agree", async () => {
    const roster = await system.command(["workers/commands/main.ts", "roster:rebuild"]);
    expect(roster.out).toContain(
      "3 channels, 2 hooks, 3 settings, 9 subscriptions; 0 projected, 0 left, 0 rerouted, 0 pruned, 0 restored",
    );
    expect(await system.command(["workers/commands/main.ts", "desk:prove"])).toMatchObject({
      code: 0,
    });
    const all = ["--since", "36500d", "--grace", "0s", "--unknown", "0s"];
    const reconciled = await system.command(["workers/commands/main.ts", "reconcile", ...all]);
    expect(reconciled).toMatchObject({
      code: 0,
      out: "10 signals, 80 followers compared: no difference\n",
    });
  });

  test("a key that was answered before is answered the same, and sends nothing", async () => {
    const again = { ...SIGNAL, durationSeconds: LONG_SECONDS };
    const { status, body } = await ask("POST /v1/signals", again, KEY_HEADER);
    expect([status, body["id"]]).toEqual([202, signals.unrecorded]);
  });

  test("a close of an old signal is accepted, and finds nothing open", async () => {
    for (const signal of [signals.unrecorded, signals.settled]) {
      const close = { channel: CHANNEL, action: "close", signal };
      const { status, body } = await ask("POST /v1/signals", close);
      expect([status, body["followers"]]).toEqual([202, 0]);
      expect(await isOver(body["id"] as SignalId)).toBe(true);
    }
  });

  test("a new signal reaches all followers, by their stored plans; a close closes it", async () => {
    const fourth = await readBalance("demo-acct-0004");
    const opened = await ask("POST /v1/signals", { ...SIGNAL, durationSeconds: 60 });
    expect(opened).toMatchObject({ status: 202, body: { sequence: 13, followers: 8 } });
    const orders = await ended(opened.body["id"] as SignalId);
    expect(listOutcomes(orders)).toEqual(PLACED);
    expect(orders.slice(0, 4).map(({ stakeCents }) => stakeCents)).toEqual([
      CHANGED_STAKE_CENTS,
      222,
      250,
      Math.floor(fourth / 1_000),
    ]);
    const close = { channel: CHANNEL, action: "close", signal: opened.body["id"] };
    const closed = await ask("POST /v1/signals", close);
    expect(listOutcomes(await ended(closed.body["id"] as SignalId))).toEqual(ENDS.close);
  });

  test("both hooks take a signal", async () => {
    const text = "symbol=EUR/USD contract=CALL stake=5.00 duration=1";
    const byUrl = await fetch(`${edge.url}/hooks/demo-tv.${secrets.hookSecret}`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: text,
    });
    const { channel: _, ...signal } = { ...SIGNAL, durationSeconds: 1 };
    const body = JSON.stringify(signal);
    const at = new Date();
    const signature = new Webhook(standardSecret(secrets.hookSecret)).sign("one", at, body);
    const signed = await fetch(`${edge.url}/hooks/demo-std`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-id": "one",
        "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
        "webhook-signature": signature,
      },
      body,
    });
    for (const answer of [byUrl, signed]) {
      expect(answer.status).toBe(202);
      const { id } = (await answer.json()) as { id: SignalId };
      expect(listOutcomes(await ended(id))).toEqual(PLACED);
    }
  });

  test("the halts and the drain apply until they are lifted", async () => {
    const to = async (channel: string) =>
      (await ask("POST /v1/signals", { ...SIGNAL, channel, durationSeconds: 1 })).body["code"];
    expect(await to(HALTED_CHANNEL)).toBe("TRADING_HALTED");
    expect(await to(DRAINED_CHANNEL)).toBe("TRADING_DRAINED");
    const status = await system.command(["workers/commands/main.ts", "control", "status"]);
    expect(status.out.trim().split("\n")).toEqual([
      `channel:${DRAINED_CHANNEL}\tbeing drained\teverywhere`,
      `channel:${HALTED_CHANNEL}\thalted\teverywhere`,
      "follower:demo-follower-0008\thalted\teverywhere",
    ]);
    const words = ["control", "lift", `channel:${HALTED_CHANNEL}`];
    expect(await system.command(["workers/commands/main.ts", ...words])).toMatchObject({ code: 0 });
    expect(await to(HALTED_CHANNEL)).toBeUndefined();
  });

  test("the desk shows the account as before, and continues with it", async () => {
    const { n: _, transaction: __, ...then } = facts.summary;
    expect(await desk(`DISPLAY_SUMMARY,${TRADER}`)).toMatchObject(then);
    // Once, however often it is sent: the session is stored.
    expect(await desk(facts.repeated.line)).toEqual(facts.repeated.reply as never);
    expect(await desk(`DISPLAY_SUMMARY,${TRADER}`)).toMatchObject(then);

    const balanceCents = Number(then["balanceCents"]);
    expect(await desk(`[20] COMMIT_BUY,${TRADER}`)).toMatchObject({
      ok: true,
      symbol: "XYZ",
      shares: 5,
      balanceCents: balanceCents - 10_000,
    });
    expect(await desk(`[21] COMMIT_SELL,${TRADER}`)).toMatchObject({
      ok: true,
      symbol: "ABC",
      shares: 10,
      balanceCents: balanceCents - 5_000,
    });
    expect(await desk(`[22] CANCEL_SET_BUY,${TRADER},ABC`)).toMatchObject({
      ok: true,
      balanceCents: balanceCents + 5_000,
    });
    // The amount reserved before the upgrade buys now.
    expect(await desk(`[23] SET_BUY_TRIGGER,${TRADER},XYZ,25.00`)).toMatchObject({ ok: true });
    const after = await desk(`DISPLAY_SUMMARY,${TRADER}`);
    expect(after).toMatchObject({ buyTriggers: [], pendingBuys: [], pendingSells: [] });
    expect(after!["holdings"]).toEqual([
      { symbol: "ABC", shares: 70, reservedShares: 20 },
      { symbol: "XYZ", shares: 8, reservedShares: 0 },
    ]);
    expect(await system.command(["workers/commands/main.ts", "desk:prove"])).toMatchObject({
      code: 0,
    });
  });

  async function isOver(id: SignalId): Promise<boolean> {
    const { body } = await ask(`GET /v1/signals/${id}`);
    return body["status"] === "complete" && (body["counts"] as { unknown: number }).unknown === 0;
  }

  /**
   * Its orders, once all final outcomes are recorded: an order that was first unknown is recorded
   * twice.
   */
  async function ended(id: SignalId): Promise<OrderRecord[]> {
    await until("it ends", async () => await isOver(id), PATIENCE_MS);
    return await until("it is recorded", async () => {
      const orders = await ordersOf(id);
      const isRecorded = orders.every(({ outcome }) => outcome !== "unknown");
      return isRecorded && orders.length === COPIES.length && orders;
    });
  }

  async function readBalance(account: string): Promise<number> {
    const headers = { authorization: `Bearer ${secrets.deskToken}` };
    const url = `${system.env["FANFARE_DESK_URL"]}/v1/accounts/${account}`;
    return ((await (await fetch(url, { headers })).json()) as { balanceCents: number })
      .balanceCents;
  }
});

function listOutcomes(orders: readonly OrderRecord[]): Record<string, string> {
  return Object.fromEntries(
    orders.map(({ subscription, outcome, reason }) => [
      subscription,
      reason === undefined ? outcome : `${outcome} ${reason}`,
    ]),
  );
}

function byId(a: OrderRecord, b: OrderRecord): number {
  return a._id < b._id ? -1 : 1;
}

/** `timing.acceptedAt` has been renamed to `acceptedAtMs`. */
function renamed(progress: unknown): Record<string, unknown> {
  const text = JSON.stringify(progress).replace('"acceptedAt":', '"acceptedAtMs":');
  return JSON.parse(text) as Record<string, unknown>;
}
