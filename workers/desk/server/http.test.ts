/** What a desk server answers when it cannot do what it is asked, on a real Redis. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { configure, reset, type LogRecord } from "@logtape/logtape";
import { DeskKeys } from "../stored/keys.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { startRedis, type TestRedis } from "../../../tests/support/redis.ts";
import { openSqliteAudit } from "../audit/sqlite.ts";
import type { AuditStore } from "../audit/port.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import type { Redis } from "../../runtime/redis.ts";
import { deskApp } from "./http.ts";
import { lane } from "./lane.ts";

const PARTITIONS = new PartitionMap(1);
const keys = new DeskKeys(0);

let server: TestRedis;
let redis: Redis;
let folder: string;
let store: AuditStore;
let logged: LogRecord[];
beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
  folder = mkdtempSync(join(tmpdir(), "fanfare-desk-http-"));
  store = openSqliteAudit(folder);
});
beforeEach(async () => {
  await redis.send("FLUSHALL", []);
  logged = [];
  await configure({
    reset: true,
    sinks: { list: (record) => void logged.push(record) },
    loggers: [
      { category: "fanfare", lowestLevel: "info", sinks: ["list"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["list"] },
    ],
  });
});
afterEach(() => reset());
afterAll(async () => {
  redis.close();
  await store.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(path: string, body?: unknown): Promise<[status: number, code: unknown]> {
  const app = deskApp({
    ...{ server: "d", redis, partitions: PARTITIONS, token: "t" },
    ...{ stop: new AbortController().signal, log: { store, redis, partitions: PARTITIONS } },
    commands: { submit: () => {} },
  });
  const response = await app.request(path, {
    headers: { authorization: "Bearer t", "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  return [response.status, ((await response.json()) as { readonly code?: unknown }).code];
}

const deposits = { deposits: [{ id: "d1", account: "a", amountCents: 1 }] };
const errors = () => logged.map(({ properties }) => properties);

test("a bug is answered as INTERNAL, and logged by its name and place alone", async () => {
  const entry = ["at", "1", "server", "d", "users", "u", "events", "secret,1,2"];
  await redis.send("XADD", [keys.audit, "*", ...entry]);
  expect(await ask("/v1/desk/events?user=u")).toEqual([500, "INTERNAL"]);
  expect(errors()).toEqual([
    { error: "TypeError", at: expect.stringMatching(/^workers\/desk\/stored\/audit\.ts:\d+$/) },
  ]);
  expect(JSON.stringify(logged)).not.toInclude("secret");
});

test("a Redis that refuses what a bug sends it is no Redis that is away", async () => {
  await redis.send("SET", [keys.balances, "no hash"]);
  expect(await ask("/v1/accounts/a")).toEqual([500, "INTERNAL"]);
  expect(errors()).toMatchObject([{ error: "RedisError ERR_REDIS_SERVER_ERROR" }]);
});

test("a store that takes nothing for now is STORE_UNAVAILABLE, and no bug", async () => {
  await redis.send("CONFIG", ["SET", "maxmemory", "1"]);
  try {
    expect(await ask("/v1/deposits", deposits)).toEqual([503, "STORE_UNAVAILABLE"]);
  } finally {
    await redis.send("CONFIG", ["SET", "maxmemory", "0"]);
  }
  expect(await ask("/v1/deposits", deposits)).toEqual([200, undefined]);
  expect(logged).toEqual([]);
});

test("a Redis that dies under a request is STORE_UNAVAILABLE, and no bug", async () => {
  const own = await startRedis();
  const client = connectRedis(own.url);
  await client.send("PING", []);
  const shared = redis;
  redis = client;
  try {
    // Redis says nothing from here on, so the request is under way when it dies.
    own.pause();
    const asked = ask("/v1/accounts/a");
    await own.kill();
    expect(await asked).toEqual([503, "STORE_UNAVAILABLE"]);
    expect(logged).toEqual([]);
  } finally {
    redis = shared;
    client.close();
    await own.stop();
  }
});

test("commands that fail for a bug are answered as not known, and the bug is logged", async () => {
  await redis.send("SET", [keys.versions, "no hash"]);
  const own = lane({ redis, partition: 0, partitions: 1, server: "d", pendingValidMs: 1_000 });
  const add = { name: "ADD", user: "u", symbol: "", cents: 1, priceCents: 0, quoteTimeMs: 0 };
  const reply = await new Promise((resolve) => own.add({ ...add, session: "", n: 0 }, resolve));
  expect(reply).toBeUndefined();
  expect(errors()).toMatchObject([{ error: "RedisError ERR_REDIS_SERVER_ERROR" }]);
});
