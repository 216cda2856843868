/**
 * Real fan-outs with one difference at a time, made by hand in the desk's books,
 * in Redis or in the records: the reconciler names that one.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { clientOrderId, homePartitionOf, signalIdIn, type SignalId } from "../../../domain/ids.ts";
import {
  unpackOutcomes,
  type ChainLink,
  type OutcomesEvent,
  type PackedOutcomes,
  type SettlementsEvent,
} from "../stored/events.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { DeskKeys } from "../../desk/stored/keys.ts";
import {
  CHANNEL,
  followerOf,
  HOME,
  PARTITIONS,
  PROVIDER,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import { runCommand } from "../../../tests/support/command.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectDesk } from "../brokers/desk/desk.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { entriesSince } from "../../runtime/entries.ts";
import type { Records } from "../../records/port.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { reconcile } from "./reconcile.ts";
import type { Sources } from "./sources.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 40;

let desk: TestDesk;
let copier: Copier;
let records: Records;
let folder: string;
let env: Record<string, string>;
let sources: Sources;
const roles = new Map<string, RoleProcess>();

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS);
  folder = mkdtempSync(join(tmpdir(), "fanfare-reconcile-"));
  records = openSqliteRecords(folder);
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: [],
    deadlineMs: 1_000,
    version: 1,
    grants: {},
    outbox: false,
  });
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  env = {
    ...desk.env,
    FANFARE_DATA: folder,
    FANFARE_CONSUMER: "one",
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)),
  };
  sources = {
    home: copier.redis,
    regions: new Map([["local", copier.redis]]),
    partitions: PARTITIONS,
    records,
    brokers: new Map([["desk", desk.broker]]),
    clock: SYSTEM_CLOCK,
  };
});
beforeEach(async () => {
  for (const name of ["broker", "dispatch", "recorder"]) await start(name);
});
afterAll(async () => {
  for (const name of roles.keys()) await halt(name);
  copier.stop();
  await records.close();
  await desk.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(name: string): Promise<void> {
  if (!roles.has(name)) roles.set(name, await startRole(name, env));
}

async function halt(name: string): Promise<void> {
  await roles.get(name)?.stop();
  roles.delete(name);
}

/** Runs a fan-out to its end. It is recorded and linked too, unless the recorder is stopped. */
async function fanOut(): Promise<SignalId> {
  const id = await copier.send();
  await copier.complete(id);
  if (!roles.has("recorder")) return id;
  await until("all of it is recorded", async () => {
    const orders = await records.orders.find({ where: { signal: id } });
    return orders.length === FOLLOWERS && (await records.signals.get(id))?.linkHash !== undefined;
  });
  return id;
}

/** Kind → how many differences of it one signal has. */
async function named(id: SignalId, unknownAfterMs = 60_000): Promise<Record<string, number>> {
  return await kinds(reconcile(sources, { sinceMs: 0, graceMs: 0, unknownAfterMs, signal: id }));
}

async function kinds(found: ReturnType<typeof reconcile>): Promise<Record<string, number>> {
  const { differences } = await found;
  const groups = Map.groupBy(differences, ({ kind }) => kind);
  return Object.fromEntries([...groups].map(([kind, some]) => [kind, some.length]));
}

/**
 * Rewrites what the desk's first call for a signal opened, or writes it as the
 * result of another call.
 */
async function rewriteBooks(
  id: SignalId,
  change: (text: string) => string,
  as?: string,
): Promise<void> {
  for (const partition of PARTITIONS.all()) {
    const key = new DeskKeys(partition).contracts(id);
    const rows = (await copier.redis.send("HGETALL", [key])) as Record<string, string>;
    const [field, text] = Object.entries(rows).find(([name]) => name.endsWith("#0")) ?? [];
    if (field === undefined || text === undefined) continue;
    await copier.redis.send("HSET", [key, as ?? field, change(text)]);
    return;
  }
  throw new Error("the desk has no contract of this signal");
}

/** The events of a signal, with their streams and ids. */
async function readEvents(
  id: SignalId,
): Promise<{ readonly stream: string; readonly entry: string; readonly event: OutcomesEvent }[]> {
  const found = [];
  for (const partition of PARTITIONS.all()) {
    const stream = new RegionKeys(partition).events;
    const entries = (await copier.redis.send("XRANGE", [stream, "-", "+"])) as [string, string[]][];
    for (const [entry, flat] of entries) {
      const event = JSON.parse(flat[1] ?? "") as PackedOutcomes | SettlementsEvent;
      if (event.kind !== "outcomes" || event.signal !== id) continue;
      found.push({ stream, entry, event: unpackOutcomes(event) });
    }
  }
  return found;
}

function deleteRecord(table: "orders" | "signals", id: string): void {
  const database = new Database(join(folder, "records.sqlite"));
  database.run("PRAGMA busy_timeout = 10000");
  database.run(`DELETE FROM ${table} WHERE id = ?`, [id]);
  database.close();
}

/** Its dispatch is cut off before the first job and never continues. */
async function sendWithoutJobs(): Promise<SignalId> {
  await halt("dispatch");
  const id = await copier.send({}, false);
  await copier.redis.send("ZREM", [HOME.undispatched, id]);
  await start("dispatch");
  return id;
}

test("fan-outs that went well have no difference", async () => {
  for (let count = 0; count < 3; count += 1) await fanOut();
  const scope = { sinceMs: 0, graceMs: 0, unknownAfterMs: 60_000 };
  const found = await until("their deadlines are past", async () => {
    const all = await reconcile(sources, scope);
    return all.signals === 3 ? all : undefined;
  });
  expect(found).toEqual({ signals: 3, followers: 3 * FOLLOWERS, differences: [] });
});

describe("a close", () => {
  /** A close that is over and recorded, of its own signal. */
  async function closed(): Promise<{ readonly signal: SignalId; readonly id: SignalId }> {
    const signal = await fanOut();
    const { id } = await copier.close({ signal });
    await copier.complete(id);
    await until("all of it is recorded", async () => {
      const orders = await records.orders.find({ where: { signal: id } });
      const isLinked = (await records.signals.get(id))?.linkHash !== undefined;
      return orders.length === FOLLOWERS && isLinked;
    });
    return { signal, id };
  }

  test("that went well has no difference, and neither has the signal that it closed", async () => {
    const { signal, id } = await closed();
    expect(await named(id)).toEqual({});
    expect(await named(signal)).toEqual({});
  });

  test("reported as closed, but by the broker's list not sold by it, is named", async () => {
    const { signal, id } = await closed();
    for (const partition of PARTITIONS.all()) {
      const key = new DeskKeys(partition).contracts(signal);
      const rows = (await copier.redis.send("HGETALL", [key])) as Record<string, string>;
      const sold = Object.entries(rows).find(([, text]) => text.startsWith("sold,"));
      if (!sold) continue;
      const open = sold[1].replace(/^sold,(.*?,EUR\/USD),[^|]*/, "open,$1");
      await copier.redis.send("HSET", [key, sold[0], open]);
      const { length } = open.split(";").slice(0, -1);
      expect(await named(id)).toEqual({ CLOSED_NOT_SOLD: length });
      return;
    }
    throw new Error("nothing was sold");
  });

  test("sold by it at the broker, but not reported as closed, is named", async () => {
    const { id } = await closed();
    const [order] = await records.orders.find({ where: { signal: id }, limit: 1 });
    deleteRecord("orders", order?._id ?? "");
    for (const partition of PARTITIONS.all())
      await copier.redis.send("DEL", [new RegionKeys(partition).events]);
    expect(await named(id)).toEqual({ CLOSE_WAITING: 1, SOLD_NOT_CLOSED: 1 });
  });

  test("that a halt stops, or whose jobs are missing, is named as waiting", async () => {
    const signal = await fanOut();
    await halt("dispatch");
    const { id } = await copier.close({ signal }, false);
    await copier.redis.send("ZREM", [HOME.undispatched, id]);
    await start("dispatch");
    expect(await named(id)).toMatchObject({ CLOSE_WAITING: 1 });
    expect((await named(id))["JOB_MISSING"]).toBeGreaterThan(0);
  });
});

describe("the broker's own list", () => {
  test("a placed order that is not on it is named", async () => {
    const id = await fanOut();
    await rewriteBooks(id, (text) => text.replace(/\|[^;]*;/, "|"));
    expect(await named(id)).toEqual({ PLACED_NOT_AT_BROKER: 1 });
  });

  test("an order on it that no outcome calls placed is named", async () => {
    const id = await fanOut();
    await rewriteBooks(id, (text) => `${text}ghost,acct-0001,100;`);
    expect(await named(id)).toEqual({ AT_BROKER_NOT_PLACED: 1 });
  });

  test("an order on it twice is named", async () => {
    const id = await fanOut();
    await rewriteBooks(id, (text) => /^[^;]*;/.exec(text)?.[0] ?? "", "#99");
    expect(await named(id)).toEqual({ ORDER_TWICE: 1 });
  });

  test("orders that were opened after the deadline, or for another stake, are named", async () => {
    const late = await fanOut();
    let orders = 0;
    await rewriteBooks(late, (text) => {
      const [head = "", rows = ""] = text.split("|");
      orders = rows.split(";").length - 1;
      const fields = head.split(",");
      fields[4] = String(Number(fields[4]) + 5_000);
      return `${fields.join(",")}|${rows}`;
    });
    expect(await named(late)).toEqual({ ORDER_LATE: orders });
    const other = await fanOut();
    await rewriteBooks(other, (text) => text.replace(/,100;/, ",101;"));
    expect(await named(other)).toEqual({ ORDER_DIFFERS: 1 });
  });

  test("a broker that does not answer is named, and its orders are not compared", async () => {
    const id = await fanOut();
    const silent = connectDesk(`http://127.0.0.1:${await freePort()}`, desk.token);
    const scope = { sinceMs: 0, graceMs: 0, unknownAfterMs: 0, signal: id };
    const without = { ...sources, brokers: new Map([["desk", silent]]) };
    expect(await kinds(reconcile(without, scope))).toEqual({ BROKER_SILENT: 1 });
  });
});

describe("jobs and outcomes", () => {
  test("an accepted signal without its jobs is named, with all followers who wait for it", async () => {
    const id = await sendWithoutJobs();
    expect(await named(id)).toEqual({
      JOB_MISSING: PARTITIONS.count,
      OUTCOME_MISSING: FOLLOWERS,
    });
  });

  test("followers whose outcomes' event was dropped are named", async () => {
    await halt("recorder");
    const id = await fanOut();
    const [dropped] = await readEvents(id);
    await copier.redis.send("XDEL", [dropped?.stream ?? "", dropped?.entry ?? ""]);
    await start("recorder");
    const copies = dropped?.event.copies.length ?? 0;
    expect(copies).toBeGreaterThan(0);
    await until("the others are recorded", async () => {
      const orders = await records.orders.find({ where: { signal: id } });
      return orders.length === FOLLOWERS - copies;
    });
    expect(await named(id)).toEqual({ OUTCOME_MISSING: copies, AT_BROKER_NOT_PLACED: copies });
  });

  test("an outcome that is reported twice, or of no follower, is named", async () => {
    await halt("recorder");
    const id = await fanOut();
    const [entry] = await readEvents(id);
    const [first] = entry?.event.copies ?? [];
    if (!entry || !first) throw new Error("no outcome");
    const { stream, event } = entry;
    const [subscription, account] = first;
    const again = {
      ...event,
      copies: [[subscription, account, { kind: "skipped", reason: "LEFT" }]],
    };
    await copier.redis.send("XADD", [stream, "*", "event", JSON.stringify(again)]);
    expect(await named(id)).toEqual({ OUTCOME_TWICE: 1 });
    const stranger = {
      ...event,
      copies: [["stranger", account, { kind: "skipped", reason: "LEFT" }]],
    };
    await copier.redis.send("XADD", [stream, "*", "event", JSON.stringify(stranger)]);
    expect(await named(id)).toEqual({ OUTCOME_TWICE: 1, OUTCOME_OF_NOBODY: 1 });
    await copier.redis.send("DEL", [stream]);
  });

  test("outcomes that were counted more than once are named even if their events are gone", async () => {
    const id = await fanOut();
    await copier.redis.send("HINCRBY", [new RegionKeys(0).progress(id), "placed", "1"]);
    expect(await named(id)).toEqual({ OUTCOME_TWICE: 1 });
  });

  test("an outcome that is recorded differently than it was reported is named", async () => {
    await halt("recorder");
    const id = await fanOut();
    const subscription = followerOf(0).id;
    const _id = clientOrderId(id, subscription);
    await records.orders.merge([{ _id, signal: id, subscription, outcome: "rejected" }]);
    expect(await named(id)).toMatchObject({ OUTCOME_TWICE: 1 });
  });

  test("a signal that Redis has forgotten is compared with its number of followers", async () => {
    const id = await fanOut();
    await copier.redis.send("DEL", [HOME.signal(id)]);
    expect(await named(id)).toEqual({});
    for (const { stream, entry } of await readEvents(id)) {
      await copier.redis.send("XDEL", [stream, entry]);
    }
    deleteRecord("orders", clientOrderId(id, followerOf(0).id));
    expect(await named(id)).toEqual({ OUTCOME_MISSING: 1, AT_BROKER_NOT_PLACED: 1 });
  });

  test("an outcome without an intent is named", async () => {
    const id = await fanOut();
    const key = new RegionKeys(0).job(id, "desk", 0);
    const intents = JSON.parse(String(await copier.redis.send("HGET", [key, "intents"]))) as {
      orders: unknown[];
    };
    const cut = JSON.stringify({ ...intents, orders: intents.orders.slice(1) });
    await copier.redis.send("HSET", [key, "intents", cut]);
    expect(await named(id)).toEqual({ OUTCOME_NOT_INTENDED: 1 });
  });

  test("an outcome that stays unknown is named once it is old", async () => {
    const id = await sendWithoutJobs();
    await halt("recorder");
    const { id: subscription, account } = followerOf(0);
    const event = {
      kind: "outcomes",
      signal: id,
      broker: "desk",
      shard: 0,
      acceptedAtMs: 0,
      dispatchedAtMs: 0,
      decidedAtMs: 0,
      sentAtMs: 0,
      answeredAtMs: null,
      copies: [[subscription, account, { kind: "unknown", stakeCents: 100 }]],
    };
    const { events } = new RegionKeys(PARTITIONS.ofAccount(account));
    await copier.redis.send("XADD", [events, "*", "event", JSON.stringify(event)]);
    expect(await named(id)).not.toHaveProperty("UNKNOWN_TOO_LONG");
    expect(await named(id, 0)).toMatchObject({ UNKNOWN_TOO_LONG: 1 });
  });

  test("a roster that no longer shows the members is named", async () => {
    const id = await fanOut();
    const key = new RegionKeys(0).rosterShard(CHANNEL, "desk", 0);
    const rows = (await copier.redis.send("HGETALL", [key])) as Record<string, string>;
    const [field = "", row = ""] = Object.entries(rows)[0] ?? [];
    await copier.redis.send("HDEL", [key, field]);
    expect(await named(id)).toEqual({ SNAPSHOT_DIFFERS: 1 });
    await copier.redis.send("HSET", [key, field, row]);
    expect(await named(id)).toEqual({});
  });
});

describe("acceptances", () => {
  test("a signal lost with the tail of a Redis is named by the evidence that is left, and as a gap", async () => {
    await fanOut();
    await halt("recorder");
    const id = await fanOut();
    await start("recorder");
    const after = await fanOut();
    const home = new HomeKeys(homePartitionOf(id));
    await copier.redis.send("DEL", [home.signal(id)]);
    const entries = (await copier.redis.send("XRANGE", [home.signals, "-", "+"])) as [
      string,
      string[],
    ][];
    for (const [entry, flat] of entries) {
      if (flat[1]?.includes(id)) await copier.redis.send("XDEL", [home.signals, entry]);
    }
    deleteRecord("signals", id);
    expect(await named(id)).toEqual({ ACCEPTANCE_LOST: 1 });
    const scope = { sinceMs: 0, graceMs: 0, unknownAfterMs: 60_000 };
    const { differences } = await reconcile(sources, scope);
    expect(differences).toContainEqual(expect.objectContaining({ kind: "SEQUENCE_GAP" }));
    expect(await named(after)).toEqual({});
  });

  test.each(["recorded", "in its stream"] as const)(
    "a lost signal of which only the link is left is named by it: %s",
    async (where) => {
      const lost = signalIdIn(0, crypto.randomUUID().replaceAll("-", ""));
      const hashes = { previousHash: "0".repeat(64), linkHash: "1".repeat(64) };
      const link: ChainLink = { signal: lost, channel: CHANNEL, sequence: 1, ...hashes };
      const linkedAtMs = Date.now();
      if (where === "recorded") {
        await records.signals.merge([{ _id: lost, ...hashes, linkedAtMs }]);
      } else {
        await halt("recorder");
        await copier.redis.send("XADD", [HOME.links, "*", "link", JSON.stringify(link)]);
      }
      const isNamed = async (sinceMs: number): Promise<boolean> => {
        const scope = { sinceMs, graceMs: 0, unknownAfterMs: 60_000 };
        const { differences } = await reconcile(sources, scope);
        return differences.some(
          ({ kind, signal }) => kind === "ACCEPTANCE_LOST" && signal === lost,
        );
      };
      expect(await isNamed(linkedAtMs)).toBe(true);
      expect(await isNamed(linkedAtMs + 60_000)).toBe(false);
      for await (const { id } of entriesSince(copier.redis, HOME.links, linkedAtMs)) {
        await copier.redis.send("XDEL", [HOME.links, id]);
      }
      deleteRecord("signals", lost);
    },
  );

  test("a signal lost with all of its jobs and outcomes is named by its broker's settlements", async () => {
    const lost = signalIdIn(0, crypto.randomUUID().replaceAll("-", ""));
    const event: SettlementsEvent = {
      kind: "settlements",
      broker: "desk",
      settlements: [
        {
          clientOrderId: clientOrderId(lost, followerOf(1).id),
          kind: "lost",
          returnCents: 0,
          closePriceMicros: 1,
          settledAtMs: Date.now(),
        },
      ],
    };
    const fields = ["*", "event", JSON.stringify(event)];
    await copier.redis.send("XADD", [new RegionKeys(1).events, ...fields]);
    const scope = { sinceMs: 0, graceMs: 0, unknownAfterMs: 60_000 };
    const { differences } = await reconcile(sources, scope);
    expect(differences).toContainEqual(
      expect.objectContaining({ kind: "ACCEPTANCE_LOST", signal: lost }),
    );
  });
});

describe("npm run reconcile", () => {
  const command = (...words: string[]) => commandWith({}, ...words);
  const commandWith = (changes: Readonly<Record<string, string>>, ...words: string[]) =>
    runCommand(["workers/commands/main.ts", "reconcile", ...words], { ...env, ...changes });

  test("exits with 0 without a difference, 1 and a table with one, 2 if it cannot compare", async () => {
    const id = await fanOut();
    expect(await command("--signal", id)).toMatchObject({
      code: 0,
      out: `1 signal, ${FOLLOWERS} followers compared: no difference\n`,
    });
    await rewriteBooks(id, (text) => `${text}ghost,acct-0001,100;`);
    const json = join(folder, "found.json");
    const { code, out } = await command("--signal", id, "--json", json);
    expect(code).toBe(1);
    expect(out).toContain("AT_BROKER_NOT_PLACED (1)");
    expect(out).toContain("ghost");
    expect(await Bun.file(json).json()).toMatchObject({
      signals: 1,
      differences: [{ kind: "AT_BROKER_NOT_PLACED", signal: id, subscription: "ghost" }],
    });
    expect((await command("--since", "yesterday")).code).toBe(2);
    const nowhere = { FANFARE_REDIS_URL: `redis://127.0.0.1:${await freePort()}` };
    expect((await commandWith(nowhere)).code).toBe(2);
  });
});

test("the role logs what it finds, and ends when it is stopped", async () => {
  await fanOut();
  const channel = HOME.channel(CHANNEL);
  const before = String(await copier.redis.send("HGET", [channel, "sequence"]));
  await copier.redis.send("HSET", [channel, "sequence", "1"]);
  const child = Bun.spawn([process.execPath, "workers/main.ts", "reconcile"], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
  let log = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    log += text;
    if (log.includes("SEQUENCE_BEHIND")) break;
  }
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  await copier.redis.send("HSET", [channel, "sequence", before]);
});
