/** The real recorder role with a real Redis and real records. */
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "bun:test";
import { asId, clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import {
  packClosures,
  type ClosuresEvent,
  type CopyOutcome,
  type OutcomesEvent,
  type RegionEvent,
} from "../stored/events.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { deadLetters } from "../../../redis/streams.ts";
import { startLink } from "../../../tests/support/cut.ts";
import { startMongo } from "../../../tests/support/mongo.ts";
import { startRole } from "../../../tests/support/role.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { until } from "../../../tests/support/wait.ts";
import { parseRead } from "../../runtime/entries.ts";
import { openRecords } from "../../records/open.ts";
import type { Records } from "../../records/port.ts";
import { recordEvents } from "./record.ts";

const folders: string[] = [];
const stops: (() => Promise<void>)[] = [];

const { server, redis } = await openRedis();
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await redis.send("FLUSHALL", []);
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const home = new HomeKeys(1);
const region = new RegionKeys(0);
const id = `s1_${"a".repeat(32)}` as AcceptedSignal["id"];
const signal = {
  id,
  channel: "demo",
  sender: "demo-provider",
  provider: "demo-provider",
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
  durationSeconds: 30,
  sequence: 1,
  acceptedAtMs: 1_000,
  deadlineMs: 2_000,
};
const PLACED: Outcome = {
  kind: "placed",
  stakeCents: 500,
  openPriceMicros: 1_084_230,
  openedAtMs: 1_004,
  expiresAtMs: 31_004,
};
const UNKNOWN: Outcome = { kind: "unknown", stakeCents: 500 };

test("records signals with their links, in either order of arrival", async () => {
  const { records } = await recording();
  const link = {
    signal: id,
    channel: "demo",
    sequence: 1,
    previousHash: "0".repeat(64),
    linkHash: "1".repeat(64),
  };
  const linked = await redis.send("XADD", [home.links, "*", "link", JSON.stringify(link)]);
  await until("the link is recorded", async () => await records.signals.get(id));
  await addSignal();
  const recorded = await until("the signal is recorded", async () => {
    const found = await records.signals.get(id);
    return found?.sequence === 1 && found;
  });
  const { id: _id, ...rest } = signal;
  const { previousHash, linkHash } = link;
  expect(recorded).toEqual({
    ...rest,
    _id,
    sha256: "f".repeat(64),
    followers: 2,
    previousHash,
    linkHash,
    linkedAtMs: Number.parseInt(String(linked), 10),
  } as never);
});

test("an unknown outcome is replaced when it is resolved and never comes back", async () => {
  const { records } = await recording();
  const unknown = event([copy(1, UNKNOWN), copy(2, { kind: "skipped", reason: "PAUSED" })]);
  await add(unknown);
  expect((await outcomes(records, 2)).toSorted()).toEqual(["skipped", "unknown"]);
  await add({ ...event([copy(1, PLACED)]), answeredAtMs: 9_000 });
  await until("it is resolved", async () => (await outcomes(records, 2)).includes("placed"));
  // The older event again, as after a crash before its acknowledgement.
  await add(unknown);
  await drained();
  expect(await records.orders.get(clientOrderId(id, subscription(1)))).toMatchObject({
    outcome: "placed",
    openPriceMicros: 1_084_230,
    answeredAtMs: 9_000,
  });
  expect(await records.orders.get(clientOrderId(id, subscription(2)))).not.toHaveProperty(
    "sentAtMs",
  );
});

test("settlements are added to their orders, and stay when the orders are written again", async () => {
  const { records } = await recording();
  const settlements: RegionEvent = {
    kind: "settlements",
    broker: "desk",
    settlements: [
      {
        clientOrderId: clientOrderId(id, subscription(1)),
        kind: "won",
        returnCents: 925,
        closePriceMicros: 1_084_300,
        settledAtMs: 31_010,
      },
    ],
  };
  for (const each of [settlements, event([copy(1, PLACED)]), event([copy(1, PLACED)])]) {
    await add(each);
    await drained();
  }
  expect(await records.orders.find({ where: { signal: id } })).toMatchObject([
    { outcome: "placed", settlement: "won", returnCents: 925, closePriceMicros: 1_084_300 },
  ]);
});

test("a close of several orders of a follower is a separate order for each", async () => {
  const { records } = await recording();
  const close = `s1_${"c".repeat(32)}` as AcceptedSignal["id"];
  const other = `s1_${"d".repeat(32)}` as AcceptedSignal["id"];
  const { copies: _, ...times } = event([]);
  const closed = { kind: "closed", stakeCents: 500, returnCents: 700 } as const;
  const price = { closePriceMicros: 1_084_300, closedAtMs: 2_000 };
  const closures = (of: typeof id, outcome: CloseOutcome): ClosuresEvent => ({
    ...times,
    kind: "closures",
    signal: close,
    of,
    copies: [[subscription(1), asId<AccountId>("acct-1"), outcome]],
  });
  await add(packClosures(closures(id, { kind: "unknown", stakeCents: 500 })));
  await add(packClosures(closures(id, { ...closed, ...price })));
  await add(packClosures(closures(other, { kind: "skipped", reason: "NOT_OPEN" })));
  await add(event([copy(1, PLACED)]));
  await drained();
  const found = await records.orders.find({ where: { signal: close } });
  expect(found.toSorted((a, b) => (a._id < b._id ? -1 : 1))).toMatchObject([
    { closes: clientOrderId(id, subscription(1)), outcome: "closed", returnCents: 700, ...price },
    { closes: clientOrderId(other, subscription(1)), outcome: "skipped", reason: "NOT_OPEN" },
  ]);
  expect(await records.orders.find({ where: { signal: id } })).toMatchObject([
    { outcome: "placed", openPriceMicros: 1_084_230 },
  ]);
});

test("an entry that was written but not acknowledged before a crash is written again, with the same result", async () => {
  await add(event([copy(1, PLACED), copy(2, PLACED)]));
  const env = settings();
  const former = await openRecords(env);
  await redis.send("XGROUP", ["CREATE", region.events, "recorder", "0"]);
  const read = ["GROUP", "recorder", hostname(), "COUNT", "10", "STREAMS", region.events, ">"];
  await recordEvents(former, Date.now)(parseRead(await redis.send("XREADGROUP", read)));
  await former.close();

  const { records } = await recording(env);
  await drained();
  expect(await outcomes(records, 2)).toEqual(["placed", "placed"]);
});

test("an entry that cannot be read is a dead letter with its reason, and the next is recorded", async () => {
  const { records } = await recording();
  await redis.send("XADD", [region.events, "*", "event", "{nonsense"]);
  await redis.send("XADD", [region.events, "*", "event", '{"kind":"outcomes","signal":"x"}']);
  await redis.send("XADD", [home.signals, "*", "signal", "null"]);
  await add(event([copy(1, PLACED)]));
  await outcomes(records, 1);
  await drained();
  const reasons = async (stream: string): Promise<unknown> =>
    ((await redis.send("XRANGE", [deadLetters(stream), "-", "+"])) as [string, string[]][]).map(
      ([, fields]) => fields[1],
    );
  expect(await reasons(region.events)).toEqual([
    "event is not JSON",
    "event.signal is not of its kind",
  ]);
  expect(await reasons(home.signals)).toEqual(["signal is not an object"]);
});

test("ten thousand outcomes are recorded in bulk, and again without a second copy", async () => {
  const { records } = await recording();
  for (const _ of [1, 2]) {
    for (let shard = 0; shard < 40; shard += 1) {
      await add(event(Array.from({ length: 250 }, (_, n) => copy(shard * 250 + n, PLACED))));
    }
    await drained();
    const [all] = await records.orders.group({ where: { signal: id }, by: [] });
    expect(all?.count).toBe(10_000);
  }
});

const mongo = await startMongo();
afterAll(async () => await mongo?.stop());

test.skipIf(!mongo)(
  "records that were cut off catch up with everything since",
  async () => {
    if (!mongo) return;
    const link = await startLink(mongo.port);
    const direct = await openRecords(settings(mongo.uri));
    const uri = new URL(mongo.uri);
    uri.port = String(link.port);
    uri.searchParams.delete("replicaSet");
    uri.searchParams.set("directConnection", "true");
    stops.push(link.stop, direct.close);
    await recording(settings(uri.href));
    await add(event([copy(1, PLACED)]));
    await outcomes(direct, 1);
    link.cut();
    for (let n = 2; n <= 20; n += 1) await add(event([copy(n, PLACED)]));
    await until("some are taken and not written", async () => (await pending()) > 0);
    expect(await outcomes(direct, 1)).toHaveLength(1);
    link.mend();
    expect(await outcomes(direct, 20)).toHaveLength(20);
    await drained();
  },
  30_000,
);

interface Settings {
  readonly FANFARE_DATA: string;
  readonly MONGODB_URI?: string;
}

function settings(mongodbUri?: string): Settings {
  const folder = mkdtempSync(join(tmpdir(), "fanfare-recorder-"));
  folders.push(folder);
  return { FANFARE_DATA: folder, ...(mongodbUri === undefined ? {} : { MONGODB_URI: mongodbUri }) };
}

/** A recorder that runs until the test ends, and the test's own records on the same data. */
async function recording(of = settings()): Promise<{ records: Records }> {
  const running = await startRole("recorder", { FANFARE_REDIS_URL: server.url, ...of });
  const records = await openRecords(of);
  stops.push(async () => {
    await running.stop();
    await records.close();
  });
  return { records };
}

async function addSignal(): Promise<void> {
  const fields = ["signal", JSON.stringify(signal), "sha256", "f".repeat(64), "followers", "2"];
  await redis.send("XADD", [home.signals, "*", ...fields]);
}

async function add(each: RegionEvent): Promise<void> {
  await redis.send("XADD", [region.events, "*", "event", JSON.stringify(each)]);
}

async function pending(): Promise<number> {
  return ((await redis.send("XPENDING", [region.events, "recorder"])) as [number])[0];
}

/** Waits until all of the region's events are acknowledged. */
async function drained(): Promise<void> {
  await until("the stream is drained", async () => {
    const [group] = (await redis.send("XINFO", ["GROUPS", region.events])) as {
      pending: number;
      "last-delivered-id": string;
    }[];
    const [last] = (await redis.send("XREVRANGE", [region.events, "+", "-", "COUNT", "1"])) as [
      string,
    ][];
    return group?.pending === 0 && group["last-delivered-id"] === last?.[0];
  });
}

/** Waits until the signal has this many outcomes. */
async function outcomes(records: Records, count: number): Promise<string[]> {
  return await until(
    `${count} orders are recorded`,
    async () => {
      const orders = await records.orders.find({ where: { signal: id } });
      return orders.length === count && orders.map(({ outcome }) => outcome);
    },
    20_000,
  );
}

function subscription(n: number): SubscriptionId {
  return asId<SubscriptionId>(`sub-${n}`);
}

function copy(n: number, outcome: Outcome): CopyOutcome {
  return [subscription(n), asId<AccountId>(`acct-${n}`), outcome];
}

function event(copies: readonly CopyOutcome[]): OutcomesEvent {
  return {
    kind: "outcomes",
    signal: id,
    broker: "desk",
    shard: 0,
    acceptedAtMs: 1_000,
    dispatchedAtMs: 1_001,
    decidedAtMs: 1_002,
    sentAtMs: 1_003,
    answeredAtMs: 1_005,
    copies,
  };
}
