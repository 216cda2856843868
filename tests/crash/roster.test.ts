/**
 * One of two processes that project the records is killed on either side of each of its steps. The
 * outbox is a mark in the changed document itself, so the other process continues where the first
 * ended: Redis agrees with the records, each change once. (A newly started process would compare
 * everything with the records.)
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { parseRoutes } from "../../redis/route.ts";
import { route } from "../../redis/route.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import { CRASH_POINTS } from "../../workers/runtime/crash-point.ts";
import { aroundScripts } from "./disaster.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { CHANNEL, followerOf, HOME, PROVIDER } from "../support/copier.ts";
import { freePort } from "../support/ports.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(30_000);

let server: TestRedis;
let redis: Redis;
let records: Records;
let env: Readonly<Record<string, string>>;
const folder = mkdtempSync(join(tmpdir(), "fanfare-outbox-"));
let survivor: RoleProcess;
let subscribed = 0;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
  records = openSqliteRecords(folder);
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: [],
    deadlineMs: 1_000,
    version: 1,
    grants: {},
    outbox: true,
  });
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  env = {
    FANFARE_REDIS_URL: server.url,
    FANFARE_PARTITIONS: "4",
    FANFARE_DATA: folder,
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)),
  };
  survivor = await startRecords();
  // If it were suspended while it marks the channel, it would hold SQLite's lock.
  await until("the channel is projected", async () => {
    return (await records.channels.find({ where: { outbox: true } })).length === 0;
  });
});
afterAll(async () => {
  await survivor.stop();
  redis.close();
  await records.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function startRecords(crashAt: Readonly<Record<string, string>> = {}): Promise<RoleProcess> {
  const port = String(await freePort());
  return await startRole("records", { ...env, ...crashAt, FANFARE_RECORDS_PORT: port });
}

/** Written as the records API does it, before anything is projected. */
async function subscribe(): Promise<void> {
  const { id, ...rest } = followerOf(subscribed);
  subscribed += 1;
  expect(await records.subscriptions.insert({ _id: id, ...rest, outbox: true })).toBe(true);
}

async function routed(): Promise<number> {
  const routes = (await redis.send("HGETALL", [HOME.routes(CHANNEL)])) as Record<string, string>;
  return parseRoutes(Object.entries(routes).flat()).reduce((sum, { count }) => sum + count, 0);
}

async function isEmpty(): Promise<boolean> {
  return (await records.subscriptions.find({ where: { outbox: true } })).length === 0;
}

test.each([...CRASH_POINTS.records, ...aroundScripts(seat, route)].map((point) => [point]))(
  "killed at %s: the other projects what is left, once",
  async (point) => {
    survivor.halt();
    const doomed = await startRecords({ FANFARE_CRASH_AT: `${point}:1:kill` });
    await subscribe();
    await until("it has died", () => doomed.state() === "dead");
    await subscribe();
    survivor.resume();
    await until("the outbox is empty", isEmpty);
    expect(await routed()).toBe(subscribed);
  },
);
