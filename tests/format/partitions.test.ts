/**
 * The number of partitions is raised for a whole system that has worked: the real
 * command on real stores, killed while it runs. All earlier data are still there
 * afterwards, and nothing is done twice.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { Webhook } from "standardwebhooks";
import type { AccountId, SignalId } from "../../domain/ids.ts";
import { formatKey, HomeKeys, PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { standardSecret } from "../../workers/commands/seed/hooks.ts";
import { parseBucket } from "../../workers/desk/stored/books.ts";
import { askedQuoteKey, DeskKeys } from "../../workers/desk/stored/keys.ts";
import { openRecords } from "../../workers/records/open.ts";
import type { OrderRecord, Records } from "../../workers/records/port.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import type { RunningEdge } from "../runtime/launch.ts";
import { startMongo } from "../support/mongo.ts";
import { sendLines, type DeskReply } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";
import { openSystem, type Secrets, type System } from "../upgrade/system.ts";

setDefaultTimeout(120_000);

const ROLES = ["simulator", "quotes", "desk", "settle", "recorder", "audit", "records"];
const COPIER = ["dispatch", "broker"];
const FOLLOWERS = 1_000;
const OLD = new PartitionMap(4);
const NEW = new PartitionMap(16);
const RAISED = { FANFARE_PARTITIONS: "16" };
const PROVIDER = "demo-provider";
/** Both are in another partition afterwards. */
const CAPPED = 4;
const HALTED = 9;
const SIGNAL = { channel: "demo", symbol: "EUR/USD", contract: "CALL", stakeCents: 500 };
const TRADERS = Array.from({ length: 20 }, (_, n) => `trader${n}`);
const [FIRST = "", ...OTHERS] = TRADERS;
const KEY = { "idempotency-key": "before-the-raise" };
/** The last command of a session, sent again after the raise. */
const REPEATED = `[9] ADD,${FIRST},1.00`;
const MAIN = "workers/commands/main.ts";

const mongo = await startMongo();
afterAll(() => mongo?.stop());
const DRIVERS = ["sqlite", ...(mongo ? ["mongo"] : [])];

describe.each(DRIVERS)("from 4 to 16 partitions, records in %s", (driver) => {
  const deskToken = crypto.randomUUID();
  const hookSecret = "a-secret-of-this-test-alone";
  let system: System;
  let client: Redis;
  let records: Records;
  let edge: RunningEdge;
  let settled: SignalId;
  let open: SignalId;
  let brief: SignalId;
  let answered: Record<string, unknown>;
  let repeated: DeskReply | undefined;
  let summaries: readonly DeskReply[];
  let log: string;
  let accounts: Record<string, string>;

  const raise = (count: number | string, crashAt?: string) =>
    system.command(
      [MAIN, "partitions", String(count)],
      crashAt === undefined ? {} : { FANFARE_CRASH_AT: crashAt },
    );
  const desk = (lines: readonly string[], session?: string) =>
    sendLines({ url: system.env["FANFARE_DESK_URL"] ?? "" }, deskToken, lines, session);
  const ask = (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) =>
    system.ask(edge, PROVIDER, path, body, headers);
  const send = async (
    durationSeconds: number,
    headers?: Readonly<Record<string, string>>,
  ): Promise<SignalId> => {
    const { status, body } = await ask("POST /v1/signals", { ...SIGNAL, durationSeconds }, headers);
    expect([status, body["followers"]]).toEqual([202, FOLLOWERS]);
    return body["id"] as SignalId;
  };

  /** Its orders, once the order of each follower is recorded. */
  const ended = async (id: SignalId): Promise<OrderRecord[]> =>
    await until(
      "every copy is recorded",
      async () => {
        const orders = await records.orders.find({ where: { signal: id }, limit: 2_000 });
        return orders.length === FOLLOWERS && orders;
      },
      60_000,
    );
  const settledOf = async (id: SignalId): Promise<OrderRecord[]> =>
    await until(
      "all that was placed is settled, and recorded",
      async () => {
        const orders = await ended(id);
        const placed = orders.filter(({ outcome }) => outcome === "placed");
        return placed.length > 0 && placed.every((each) => each.settlement) && orders;
      },
      90_000,
    );
  const tally = (orders: readonly OrderRecord[]): Record<string, number> =>
    Object.fromEntries(
      [...Map.groupBy(orders, ({ outcome, reason }) => `${outcome} ${reason ?? ""}`.trim())].map(
        ([name, some]) => [name, some.length],
      ),
    );
  /** Contract → how many times it is in the desk's books. */
  const booked = async (id: SignalId, map: PartitionMap): Promise<Map<string, string[]>> => {
    const found = new Map<string, string[]>();
    for (const partition of map.all()) {
      const raw = await client.send("HGETALL", [new DeskKeys(partition).contracts(id)]);
      for (const { clientOrderId, state } of parseBucket(id, raw)) {
        found.set(clientOrderId, [...(found.get(clientOrderId) ?? []), state]);
      }
    }
    return found;
  };
  const balances = async (map: PartitionMap): Promise<Record<string, string>> =>
    Object.assign(
      {},
      ...(await Promise.all(
        map.all().map((each) => client.send("HGETALL", [new DeskKeys(each).balances])),
      )),
    ) as Record<string, string>;
  const logOf = async (user: string): Promise<string> => {
    const headers = { authorization: `Bearer ${deskToken}` };
    const url = `${system.env["FANFARE_DESK_URL"]}/v1/desk/log?user=${user}`;
    return await (await fetch(url, { headers })).text();
  };
  /** An idle observer does not count; a client that has worked would count. */
  const lookOn = () => client.send("PING", []);

  beforeAll(async () => {
    system = await openSystem(await makeSecrets(deskToken), driver === "mongo" ? mongo : undefined);
    client = connectRedis(system.redis.url);
    records = await openRecords({ FANFARE_DATA: system.data, MONGODB_URI: system.mongo?.uri });
    system.fixPrices({ ABC: "5.00", XYZ: "20.00" });
    for (const role of ROLES) await system.start(role);
    const seed = { FANFARE_DEMO_HOOK_SECRET: hookSecret };
    await until(
      "the demo is there",
      async () => (await system.command([MAIN, "seed"], seed)).code === 0,
      60_000,
    );
    // A slow machine must not change the answer.
    const channel = await records.channels.get("demo");
    await records.channels.putNewer([{ ...channel!, deadlineMs: 60_000, version: 2 }]);
    expect(await system.command([MAIN, "roster:rebuild"])).toMatchObject({ code: 0 });
    for (const role of COPIER) await system.start(role);
    edge = await system.edge();
    const capped = { sizing: { kind: "fixed", stakeCents: 100 }, maxDayStakeCents: 300 };
    await system.ask(
      edge,
      `demo-follower-000${CAPPED}`,
      `PATCH /v1/subscriptions/demo-sub-000${CAPPED}`,
      {
        plan: capped,
      },
    );
    const halt = ["control", "halt", `follower:demo-follower-000${HALTED}`];
    expect(await system.command([MAIN, ...halt])).toMatchObject({ code: 0 });
    const layer = ["settings", "platform", '{"plan":{"maxStakeCents":400},"paused":false}'];
    expect(await system.command([MAIN, ...layer])).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    client?.close();
    await records?.close();
    await system?.stop();
  });

  test("a system works in four, and a raise of it is refused while anything runs or waits", async () => {
    const replies = await desk(
      TRADERS.flatMap((user, n) => [
        `ADD,${user},${1_000 + n}.00`,
        `BUY,${user},ABC,200.00`,
        `COMMIT_BUY,${user}`,
        `SET_BUY_AMOUNT,${user},ABC,60.00`,
        `SET_BUY_TRIGGER,${user},ABC,3.00`,
        `SET_SELL_AMOUNT,${user},ABC,60.00`,
        `SET_SELL_TRIGGER,${user},ABC,7.00`,
        `BUY,${user},XYZ,50.00`,
      ]),
    );
    expect(replies.filter(({ ok }) => !ok)).toEqual([]);
    [repeated] = await desk([REPEATED], "mine");
    settled = await send(1);
    expect(tally(await settledOf(settled))).toEqual({
      placed: FOLLOWERS - 1,
      "skipped HALTED": 1,
    });
    open = await send(300, KEY);
    await ended(open);
    // It expires while the partitions are raised.
    brief = await send(6);
    await ended(brief);
    ({ body: answered } = await ask(`GET /v1/signals/${open}`));
    summaries = await desk(TRADERS.map((user) => `DISPLAY_SUMMARY,${user}`));
    log = await logOf(FIRST);

    expect(await raise(16)).toMatchObject({ code: 1, err: expect.stringContaining("at work") });
    await system.rest();
    accounts = await balances(OLD);
    for (const [count, why] of [
      ["2", "can only be raised"],
      ["6", "name a multiple"],
    ] as const) {
      await lookOn();
      expect(await raise(count)).toMatchObject({ code: 1, err: expect.stringContaining(why) });
    }
    expect(await raise("many")).toMatchObject({ code: 2 });

    await client.send("ZADD", [new HomeKeys(1).undispatched, "1", "s1_x"]);
    await client.send("XADD", [new RegionKeys(2).jobs("desk"), "*", "signal", "{}"]);
    await lookOn();
    const refused = await raise(16);
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining("1 signals that are not dispatched"),
    ]);
    expect(refused.err).toContain("1 jobs that no worker has brought to their outcomes");
    expect(await client.send("HGET", [formatKey(0), "partitions"])).toBe("4");
    await client.send("DEL", [new HomeKeys(1).undispatched]);
    const [[last]] = (await client.send("XREVRANGE", [
      new RegionKeys(2).jobs("desk"),
      "+",
      "-",
      "COUNT",
      "1",
    ])) as [[string]];
    await client.send("XDEL", [new RegionKeys(2).jobs("desk"), last]);
  });

  test("after a killed raise every process refuses, and the same command continues it", async () => {
    for (const point of [
      "after-raise-begun:1",
      "after-key-copied:60",
      "after:split-audit:6",
      // Four are marked again. Some of the sixteen say by then that everything is copied.
      "after-format-written:9",
      "after-key-removed:25",
      // All sixteen are written again, and then some without the mark.
      "after-format-written:21",
    ]) {
      await lookOn();
      const killed = await raise(16, `${point}:kill`);
      expect([point, killed.code]).toEqual([point, 137]);
      for (const partitions of ["4", "16"]) {
        const { code, err } = await system.command(["workers/main.ts", "settle"], {
          FANFARE_PARTITIONS: partitions,
        });
        expect([point, code, err]).toEqual([
          point,
          2,
          expect.stringMatching(/on their way from 4 to 16|this process is set for 4/),
        ]);
      }
      expect(await raise(32)).toMatchObject({
        code: 1,
        err: expect.stringContaining("on their way to 16"),
      });
    }
    await lookOn();
    const { code, out, err } = await raise(16);
    expect([code, out, err]).toEqual([
      0,
      expect.stringContaining("in 16 partitions"),
      expect.any(String),
    ]);
    await lookOn();
    expect(await raise(16)).toMatchObject({ code: 0 });
    const old = await system.command(["workers/main.ts", "settle"]);
    expect([old.code, old.err]).toEqual([
      2,
      expect.stringContaining(
        "in 16 partitions, and this process is set for 4: set FANFARE_PARTITIONS to 16",
      ),
    ]);
  });

  test("each account is in its own partition alone, to the cent; the audit proves and rebuilds them", async () => {
    expect(await balances(NEW)).toEqual(accounts);
    for (const partition of NEW.all()) {
      const own = await client.send("HKEYS", [new DeskKeys(partition).balances]);
      for (const account of own as AccountId[]) expect(NEW.ofAccount(account)).toBe(partition);
    }
    const proven = await system.command([MAIN, "desk:prove"], RAISED);
    expect([proven.code, proven.out]).toEqual([0, expect.stringContaining("1,021 accounts")]);
    const intact = await system.command([MAIN, "desk:restore"], RAISED);
    expect([intact.code, intact.out.match(/agrees with its audit/g)?.length]).toEqual([0, 16]);
    // A partition that was there before, and its children, are lost and rebuilt.
    const lost = [1, 5, 9, 13];
    for (const partition of lost) {
      const keys = (await client.send("KEYS", [`desk:{${partition}}:*`])) as string[];
      const kept = new DeskKeys(partition);
      // The stream was not drained, so entries that its store lacks cannot be restored.
      await client.send(
        "DEL",
        keys.filter((key) => key !== kept.audit && key !== kept.history),
      );
    }
    const restored = await system.command([MAIN, "desk:restore"], RAISED);
    expect([restored.code, restored.out.match(/restored/g)?.length]).toEqual([0, lost.length]);
    expect(await balances(NEW)).toEqual(accounts);
    const again = await system.command([MAIN, "desk:prove"], RAISED);
    expect(again.code).toBe(0);
  });

  test("a trader finds holdings, triggers, history, log and the answer to a repeated command", async () => {
    const others = [...ROLES, ...COPIER].filter((role) => role !== "quotes");
    for (const role of others) await system.start(role, RAISED);
    edge = await system.edge({ partitions: 16 });
    const now = await desk(TRADERS.map((user) => `DISPLAY_SUMMARY,${user}`));
    expect(now.map(shown)).toEqual(summaries.map(shown));
    expect(await desk([REPEATED], "mine")).toEqual([repeated!]);
    const [next] = await desk([`ADD,${FIRST},2.00`]);
    expect(next!.transaction).toBeGreaterThan(
      Math.max(...summaries.map(({ transaction }) => transaction ?? 0)),
    );
    const [before = ""] = log.split("</log>");
    const after = await logOf(FIRST);
    expect(after).toStartWith(before);
    expect(after.slice(before.length)).toContain("<funds>2.00</funds>");
    const events = await listEvents(FIRST);
    expect(events.filter(({ name }) => name === "COMMIT_BUY")).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ name: "ADD", cents: 200 });
    // Each of the triggers that waited fires once.
    system.fixPrices({ ABC: "8.00", XYZ: "20.00" });
    // The trigger watch finds no quote yet that is valid for a minute.
    await client.send("DEL", [askedQuoteKey("ABC")]);
    await system.start("quotes", RAISED);
    for (const user of OTHERS) {
      await until(
        `the trigger of ${user} fires`,
        async () => {
          const fired = (await listEvents(user)).filter(({ kind }) => kind === "fired");
          expect(fired.length).toBeLessThan(2);
          return fired.length === 1;
        },
        90_000,
      );
    }
  });

  test("the repeated key is answered the same, and the old signal is shown and closed once", async () => {
    const again = await ask("POST /v1/signals", { ...SIGNAL, durationSeconds: 300 }, KEY);
    expect([again.status, again.body["id"]]).toEqual([202, open]);
    expect((await ask(`GET /v1/signals/${open}`)).body).toEqual(answered);
    await settledOf(brief);
    const due = [...(await booked(brief, NEW)).values()];
    expect(due.filter(([state = "", ...more]) => more.length > 0 || state === "open")).toEqual([]);
    expect(due).toHaveLength(FOLLOWERS - 1);
    const close = { channel: "demo", action: "close", signal: open };
    const { status, body } = await ask("POST /v1/signals", close);
    expect([status, body["followers"]]).toEqual([202, FOLLOWERS]);
    expect(tally(await ended(body["id"] as SignalId))).toEqual({
      closed: FOLLOWERS - 1,
      "skipped NOT_OPEN": 1,
    });
    const contracts = await booked(open, NEW);
    expect(contracts.size).toBe(FOLLOWERS - 1);
    expect(new Set([...contracts.values()].map((each) => each.join()))).toEqual(new Set(["sold"]));
  });

  test("a new signal is copied once for every follower; the halt, the cap and the platform's settings apply", async () => {
    const id = await send(1);
    const orders = await settledOf(id);
    expect(tally(orders)).toEqual({
      placed: FOLLOWERS - 2,
      "skipped HALTED": 1,
      "skipped DAY_CAP": 1,
    });
    const of = (n: number) =>
      orders.find(({ subscription }) => subscription === `demo-sub-000${n}`);
    expect(of(CAPPED)?.outcome).toBe("skipped");
    expect(of(HALTED)?.reason).toBe("HALTED");
    const placed = orders.filter(({ outcome }) => outcome === "placed");
    expect(Math.max(...placed.map(({ stakeCents = 0 }) => stakeCents))).toBe(400);
    const contracts = await booked(id, NEW);
    expect([...contracts.values()].filter(({ length }) => length > 1)).toEqual([]);
    expect(contracts.size).toBe(FOLLOWERS - 2);
    const status = await system.command([MAIN, "control", "status"], RAISED);
    expect(status.out).toContain(`follower:demo-follower-000${HALTED}\thalted\teverywhere`);
    // Earlier stakes count, and no ended contract counts as open.
    const region = new RegionKeys(NEW.ofAccount(`demo-acct-000${CAPPED}` as AccountId));
    const usage = await client.send("HGET", [region.usage("desk"), `demo-sub-000${CAPPED}`]);
    expect(String(usage).split(",").slice(1, 3)).toEqual(["300", "0"]);
    // A hook is also found, and its channel's numbers continue.
    const hooked = await sendHook(edge, hookSecret);
    expect((await ended(hooked.id)).length).toBe(FOLLOWERS);
    expect(hooked.sequence).toBe(6);
  });

  test("books, log, roster and outcomes agree", async () => {
    await until(
      "the log is linked and recorded",
      async () => {
        const words = ["reconcile", "--since", "1h", "--grace", "1s", "--unknown", "1s"];
        return (await system.command([MAIN, ...words], RAISED)).code === 0;
      },
      60_000,
    );
    const roster = await system.command([MAIN, "roster:rebuild"], RAISED);
    expect(roster.out).toContain("0 projected, 0 left, 0 rerouted");
    expect(await system.command([MAIN, "desk:prove"], RAISED)).toMatchObject({ code: 0 });
    const intact = await system.command([MAIN, "desk:restore"], RAISED);
    expect([intact.code, intact.out]).toEqual([0, expect.not.stringContaining("restored")]);
  });

  async function listEvents(user: string): Promise<Record<string, unknown>[]> {
    const headers = { authorization: `Bearer ${deskToken}` };
    const events: Record<string, unknown>[] = [];
    for (let after: string | null = ""; after !== null;) {
      const url = `${system.env["FANFARE_DESK_URL"]}/v1/desk/events?user=${user}&after=${after}`;
      const page = (await (await fetch(url, { headers })).json()) as {
        events: Record<string, unknown>[];
        next: string | null;
      };
      events.push(...page.events);
      after = page.next;
    }
    return events;
  }
});

/** Everything except the number of the reply. */
function shown({ transaction: _, ...rest }: DeskReply): object {
  return rest;
}

async function sendHook(
  { url }: RunningEdge,
  secret: string,
): Promise<{ readonly id: SignalId; readonly sequence: number }> {
  const { channel: _, ...signal } = { ...SIGNAL, durationSeconds: 1 };
  const body = JSON.stringify(signal);
  const at = new Date();
  const response = await fetch(`${url}/hooks/demo-std`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": "one",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(standardSecret(secret)).sign("one", at, body),
    },
    body,
  });
  expect(response.status).toBe(202);
  return (await response.json()) as { id: SignalId; sequence: number };
}

async function makeSecrets(deskToken: string): Promise<Secrets> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  return {
    issuerKey: {
      ...(await exportJWK(privateKey)),
      alg: "EdDSA",
      use: "sig",
      kid: "raise",
    },
    sealKey: Buffer.alloc(32, 7).toString("base64url"),
    deskToken,
    hookSecret: "",
    password: "",
  };
}
