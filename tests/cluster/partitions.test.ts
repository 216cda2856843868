/**
 * The number is raised twice on a real Redis Cluster, whose partitions are on several nodes: money,
 * halts and roster stay, and the audit of both times is read as one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { AccountId } from "../../domain/ids.ts";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import { parseRoutes } from "../../redis/route.ts";
import { setHalt } from "../../workers/copier/stored/halt.ts";
import { checkRoster } from "../../workers/copier/roster/check.ts";
import { targetsOf } from "../../workers/copier/roster/projector.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { openSqliteAudit } from "../../workers/desk/audit/sqlite.ts";
import { proveBooks } from "../../workers/desk/prove/prove.ts";
import { logPieces } from "../../workers/desk/server/log.ts";
import { deposit } from "../../workers/desk/stored/deposit.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { openConnections, type OpenConnections } from "../../workers/runtime/connections.ts";
import { run } from "../../workers/runtime/redis.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { runCommand } from "../support/command.ts";
import { CHANNEL, followerOf, PROVIDER } from "../support/copier.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = Array.from({ length: 60 }, (_, index) => followerOf(index));
const MAIN = "workers/commands/main.ts";

let cluster: TestCluster;
let records: Records;
let store: AuditStore;
let env: Readonly<Record<string, string>>;
const folder = mkdtempSync(join(tmpdir(), "fanfare-cluster-raise-"));

beforeAll(async () => {
  cluster = await startCluster();
  records = openSqliteRecords(folder);
  store = openSqliteAudit(folder);
  env = { FANFARE_REDIS_URL: cluster.url, FANFARE_DATA: folder };
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: [],
    deadlineMs: 1e3,
    version: 1,
    grants: {},
    outbox: false,
  });
  await records.subscriptions.putNewer(
    FOLLOWERS.map(({ id, ...rest }) => ({ _id: id, ...rest, outbox: false })),
  );
});
afterAll(async () => {
  await records.close();
  await store.close();
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** As one whose connections end before the partitions are raised. */
async function within(
  count: number,
  act: (connections: OpenConnections) => Promise<void>,
): Promise<void> {
  const connections = await openConnections({
    ...env,
    FANFARE_PARTITIONS: count,
    FANFARE_REGION: "local",
  });
  try {
    await act(connections);
  } finally {
    connections.close();
  }
}

async function depositAll(
  { redis, partitions }: OpenConnections,
  name: string,
  amountCents: number,
): Promise<void> {
  for (const { account } of FOLLOWERS) {
    const call = { partition: partitions.ofAccount(account), partitions: partitions.count };
    const deposits = [{ id: `${name}-${account}`, account, amountCents }];
    await run(redis, deposit, { ...call, server: "d1", deposits });
  }
}

async function expectProven({ redis, partitions }: OpenConnections, events: number): Promise<void> {
  const proof = await proveBooks(redis, store, partitions);
  expect(proof).toEqual({ accounts: FOLLOWERS.length, events, differences: [] });
}

test("from 2 to 4 to 8", async () => {
  await within(2, async (connections) => {
    const { redis, partitions } = connections;
    await depositAll(connections, "first", 100);
    await checkRoster(records, targetsOf(connections));
    for (const partition of partitions.all()) {
      for (const { halts } of [new HomeKeys(partition), new RegionKeys(partition)]) {
        await run(redis, setHalt, { key: halts, scope: "platform", action: "halt" });
      }
    }
  });
  for (const count of [4, 8]) {
    const { code, err } = await runCommand([MAIN, "partitions", String(count)], env);
    expect([count, code, err]).toEqual([count, 0, ""]);
    await within(count, async (connections) => {
      const { redis, partitions } = connections;
      await expectProven(connections, FOLLOWERS.length * (count / 4));
      // What was deposited once is not deposited again.
      await depositAll(connections, "first", 100);
      await depositAll(connections, `at-${count}`, count);
      await expectProven(connections, FOLLOWERS.length * (count / 4 + 1));
      for (const partition of partitions.all()) {
        for (const { halts } of [new HomeKeys(partition), new RegionKeys(partition)]) {
          expect(await redis.send("HGET", [halts, "platform"])).toBe("halt");
        }
      }
      const key = new HomeKeys(partitions.ofChannel(CHANNEL)).routes(CHANNEL);
      const stored = (await redis.send("HGETALL", [key])) as Record<string, string>;
      const routes = parseRoutes(Object.entries(stored).flat());
      expect(routes.reduce((sum, route) => sum + route.count, 0)).toBe(FOLLOWERS.length);
      expect(new Set(routes.map(({ partition }) => partition)).size).toBe(count);
    });
  }
});

test("each account's log is one, with numbers that only grow", async () => {
  await within(8, async ({ redis, partitions }) => {
    for (const { account } of FOLLOWERS) {
      const pieces = await Array.fromAsync(logPieces({ store, redis, partitions }, account));
      const log = pieces.join("");
      expect([...log.matchAll(/<funds>(.*)<\/funds>/g)].map(([, funds]) => funds)).toEqual([
        "1.00",
        "0.04",
        "0.08",
      ]);
      const numbers = [...log.matchAll(/<transactionNum>(\d+)</g)].map(([, text]) => Number(text));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(new Set(numbers).size).toBe(3);
    }
    const all = (await Array.fromAsync(logPieces({ store, redis, partitions }, ""))).join("");
    expect(all.match(/<funds>/g)).toHaveLength(3 * FOLLOWERS.length);
    const numbers = [...all.matchAll(/<transactionNum>(\d+)</g)].map(([, text]) => text);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});

test("a partition that is lost is rebuilt from all of its history", async () => {
  await within(8, async ({ redis, partitions }) => {
    for (const partition of [1, 6]) {
      const { balances, deposits, versions } = new DeskKeys(partition);
      for (const key of [balances, deposits, versions]) await redis.send("DEL", [key]);
    }
    const { code, out } = await runCommand([MAIN, "desk:restore"], env);
    expect([code, out.match(/: restored/g)?.length]).toEqual([0, 2]);
    for (const { account } of FOLLOWERS) {
      const desk = new DeskKeys(partitions.ofAccount(account as AccountId));
      expect(await redis.send("HGET", [desk.balances, account])).toBe("112");
      expect(await redis.send("HGET", [desk.deposits, `first-${account}`])).toBe(account);
    }
  });
});
