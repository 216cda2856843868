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
import { CHANNEL, followerOf, HOME, PARTITIONS, PROVIDER } from "../../../tests/support/copier.ts";
import { startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { until } from "../../../tests/support/wait.ts";
import { filledSince, type Part } from "../../../redis/filled.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { parseRoutes } from "../../../redis/route.ts";
import type { Records } from "../../records/port.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { fillAll, followFills } from "./fill.ts";
import type { Targets } from "./projector.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 40;
const folder = mkdtempSync(join(tmpdir(), "fanfare-fill-"));
let servers: TestRedis[];
let clients: Redis[];
let records: Records;
let targets: Targets;
let [home, near, far] = [] as Redis[] as [Redis, Redis, Redis];

beforeAll(async () => {
  servers = await Promise.all([1, 2, 3].map(() => startRedis({ filled: false })));
  clients = servers.map(({ url }) => connectRedis(url));
  [home, near, far] = clients as [Redis, Redis, Redis];
  const regions = new Map([
    ["near", near],
    ["far", far],
  ]);
  targets = { home, regions, partitions: PARTITIONS };
  records = openSqliteRecords(folder);
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: ["EUR/USD"],
    deadlineMs: 1e3,
    version: 1,
    grants: { [PROVIDER]: {} },
    outbox: false,
  });
  await records.subscriptions.putNewer(
    Array.from({ length: FOLLOWERS }, (_, index) => {
      const { id, ...rest } = followerOf(index, { region: index % 2 === 0 ? "near" : "far" });
      return { _id: id, ...rest, outbox: false };
    }),
  );
});
afterAll(async () => {
  for (const client of clients) client.close();
  await records.close();
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await Promise.all(clients.map((client) => client.send("FLUSHALL", [])));
});

async function isFilled(redis: Redis, part: Part): Promise<boolean> {
  const since = await Promise.all(
    PARTITIONS.all().map((partition) => run(redis, filledSince, { partition, part })),
  );
  return since.every((each) => each !== undefined);
}

/** How many followers a signal would have in each region. */
async function routed(): Promise<Readonly<Record<string, number>>> {
  const stored = (await home.send("HGETALL", [HOME.routes(CHANNEL)])) as Record<string, string>;
  const counts: Record<string, number> = {};
  for (const { region, count } of parseRoutes(Object.entries(stored).flat())) {
    counts[region] = (counts[region] ?? 0) + count;
  }
  return counts;
}

const BOTH = { near: FOLLOWERS / 2, far: FOLLOWERS / 2 };

describe("filling", () => {
  test("by two at once is done by one, which writes the mark after the recorded data", async () => {
    const filled = await Promise.all([fillAll(records, targets), fillAll(records, targets)]);
    expect(filled.filter(Boolean)).toHaveLength(1);
    expect(await isFilled(home, "home")).toBe(true);
    expect(await isFilled(near, "region")).toBe(true);
    expect(await isFilled(far, "region")).toBe(true);
    expect(await routed()).toEqual(BOTH);
    expect(await fillAll(records, targets)).toBe(true);
  });

  test("from records that do not answer marks nothing, and the next filler can claim", async () => {
    const away = openSqliteRecords(folder);
    await away.close();
    expect(await fillAll(away, targets).catch(() => "rejected")).toBe("rejected");
    expect(await isFilled(home, "home")).toBe(false);
    await until("the claim is given back", () => fillAll(records, targets).catch(() => false));
    expect(await isFilled(home, "home")).toBe(true);
  });
});

test("stops are restored before any signal can be accepted", async () => {
  const stop = {
    state: "halt",
    atMs: 1,
    liftedAtMs: 0,
    owner: "administrators",
    by: "boss",
    why: "",
  };
  await records.stops.putNewer([{ _id: "platform", version: 1, ...stop }] as never);
  expect(await fillAll(records, targets)).toBe(true);
  for (const partition of PARTITIONS.all()) {
    expect(await home.send("HGET", [new HomeKeys(partition).halts, "platform"])).toBe("halt");
    for (const region of [near, far]) {
      expect(await region.send("HGET", [new RegionKeys(partition).halts, "platform"])).toBe("halt");
    }
  }
  await records.stops.putNewer([{ _id: "platform", version: 2, ...stop, state: "open" }] as never);
});

test("an emptied region is filled while another is away, and the other's routes do not change", async () => {
  await fillAll(records, targets);
  const before = await home.send("HGETALL", [HOME.routes(CHANNEL)]);
  const stop = new AbortController();
  servers[2]?.pause();
  const following = followFills(records, targets, SYSTEM_CLOCK, stop.signal);
  await near.send("FLUSHALL", []);
  await until("it is filled", () => isFilled(near, "region"));
  expect(await routed()).toEqual(BOTH);
  const after = (await home.send("HGETALL", [HOME.routes(CHANNEL)])) as Record<string, string>;
  const farOnly = (routes: unknown) =>
    Object.entries(routes as Record<string, string>).filter(([field]) => field.startsWith("far/"));
  expect(farOnly(after)).toEqual(farOnly(before));
  servers[2]?.resume();
  stop.abort();
  await following;
});
