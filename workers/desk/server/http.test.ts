/** What a desk server answers when it cannot do what is requested, on a real Redis. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { configure, reset, type LogRecord } from "@logtape/logtape";
import { DeskKeys } from "../stored/keys.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { clear, startRedis, type TestRedis } from "../../../tests/support/redis.ts";
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
  await clear(redis);
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

function start(stop = new AbortController().signal) {
  return deskApp({
    server: "d",
    redis,
    partitions: PARTITIONS,
    token: "t",
    stop,
    log: { store, redis, partitions: PARTITIONS },
    commands: { submit: () => {} },
  });
}

async function ask(path: string, body?: unknown): Promise<[status: number, code: unknown]> {
  const response = await start().request(path, {
    headers: { authorization: "Bearer t", "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  return [response.status, ((await response.json()) as { readonly code?: unknown }).code];
}

const deposits = { deposits: [{ id: "d1", account: "a", amountCents: 1 }] };
const errors = () => logged.map(({ properties }) => properties);

test("a bug is answered as INTERNAL, and logged only by its name and place", async () => {
  const entry = ["at", "1", "server", "d", "users", "u", "events", "secret,1,2"];
  await redis.send("XADD", [keys.audit, "*", ...entry]);
  expect(await ask("/v1/desk/events?user=u")).toEqual([500, "INTERNAL"]);
  expect(errors()).toEqual([
    { error: "TypeError", at: expect.stringMatching(/^workers\/desk\/stored\/audit\.ts:\d+$/) },
  ]);
  expect(JSON.stringify(logged)).not.toInclude("secret");
});

test("an error of Redis that a bug causes does not count as a Redis that is away", async () => {
  await redis.send("SET", [keys.balances, "no hash"]);
  expect(await ask("/v1/accounts/a")).toEqual([500, "INTERNAL"]);
  expect(errors()).toMatchObject([{ error: "RedisError ERR_REDIS_SERVER_ERROR" }]);
});

test("a store that accepts no writes at the moment is STORE_UNAVAILABLE, and no bug", async () => {
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
    // Redis does not answer from here on, so the request is still open when it dies.
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

test("commands that fail through a bug get an answer that their result is unknown, and the bug is logged", async () => {
  await redis.send("SET", [keys.versions, "no hash"]);
  const own = lane({ redis, partition: 0, partitions: 1, server: "d", pendingValidMs: 1_000 });
  const add = { name: "ADD", user: "u", symbol: "", cents: 1, priceCents: 0, quoteTimeMs: 0 };
  const reply = await new Promise((resolve) => own.add({ ...add, session: "", n: 0 }, resolve));
  expect(reply).toBeUndefined();
  expect(errors()).toMatchObject([{ error: "RedisError ERR_REDIS_SERVER_ERROR" }]);
});

const KNOWN = { authorization: "Bearer t" };

test("a request that does not fit an operation is refused with the field's name, the token first", async () => {
  const post = { method: "POST", body: "{}" };
  for (const [path, init, status, code] of [
    ["/v1/deposits", post, 401, "TOKEN_MISSING"],
    ["/v1/deposits", { ...post, headers: { authorization: "Basic t" } }, 401, "TOKEN_INVALID"],
    ["/v1/deposits", { ...post, headers: { authorization: "Bearer tt" } }, 401, "TOKEN_INVALID"],
    ["/v1/desk/ws", { headers: { authorization: "Bearer tt" } }, 401, "TOKEN_INVALID"],
    ["/v1/deposits", { ...post, headers: KNOWN }, 422, "BODY_INVALID"],
    ["/v1/deposits", { headers: KNOWN }, 405, "METHOD_NOT_ALLOWED"],
    ["/v1/desk/events?user=a-b", { headers: KNOWN }, 400, "QUERY_INVALID"],
    ["/v1/desk/events?user=a&after=b", { headers: KNOWN }, 400, "QUERY_INVALID"],
    ["/v1/desk/log?user=a-b", { headers: KNOWN }, 400, "QUERY_INVALID"],
    ["/v1/contracts?bucket=a&after=1", { headers: KNOWN }, 400, "QUERY_INVALID"],
    ["/v1/settlements?after=1-1,1-1", { headers: KNOWN }, 400, "QUERY_INVALID"],
    ["/v1/accounts/a", { headers: KNOWN }, 404, "ROUTE_UNKNOWN"],
    ["/v1/accounts/a.b", { headers: KNOWN }, 404, "ROUTE_UNKNOWN"],
    [
      "/v1/desk/commands",
      { ...post, headers: { ...KNOWN, "desk-user": "a-b" } },
      400,
      "HEADER_INVALID",
    ],
    [
      "/v1/desk/commands",
      { ...post, headers: { ...KNOWN, "command-session": "a b" } },
      400,
      "HEADER_INVALID",
    ],
    ["/v1/nothing", { headers: KNOWN }, 404, "ROUTE_UNKNOWN"],
  ] as const) {
    const response = await start().request(path, init);
    const { code: answered } = (await response.json()) as { readonly code: unknown };
    expect([path, response.status, answered]).toEqual([path, status, code]);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
  }
});

test("a body is JSON with any content type, and may have 512 KiB, announced or not", async () => {
  const send = async (padding: number, headers: Record<string, string>) => {
    const text = JSON.stringify({ symbols: ["R_100"] }) + " ".repeat(padding);
    const body = new Blob([text]).stream();
    const init = { method: "POST", body, headers: { ...KNOWN, ...headers } };
    return (await start().request("/v1/payouts", init)).status;
  };
  const room = 512 * 1024 - JSON.stringify({ symbols: ["R_100"] }).length;
  const announced = (padding: number) => ({
    "content-length": String(512 * 1024 - room + padding),
  });
  expect(await send(room, {})).toBe(200);
  expect(await send(room, { ...announced(room), "content-type": "text/plain" })).toBe(200);
  expect(await send(room + 1, {})).toBe(413);
  expect(await send(room + 1, announced(room + 1))).toBe(413);
});

test("queries and headers of other versions, empty or unknown, are accepted", async () => {
  for (const path of [
    "/v1/desk/events?user=u&after=",
    "/v1/settlements?after=&later=1",
    "/v1/contracts?bucket=s0_00",
  ]) {
    const own = new AbortController();
    own.abort();
    const response = await start(own.signal).request(path, { headers: KNOWN });
    expect([path, response.status]).toEqual([path, 200]);
  }
});

test("a fault in a batch is named without the values that were sent", async () => {
  const orders = {
    bucket: "b",
    shard: 0,
    names: ["s3cret!"],
    accounts: ["a"],
    stakesCents: [1, 2],
  };
  const terms = { symbol: "R_100", contract: "CALL", durationSeconds: 60, validUntilMs: 1 };
  const init = { method: "POST", body: JSON.stringify({ ...terms, orders }), headers: KNOWN };
  const response = await start().request("/v1/contracts", init);
  const text = await response.text();
  expect(text).toInclude("must be a list of 1 to 1000, of which each must be at most 64 of");
  expect(text).not.toInclude("s3cret");
});

test("the document has every address, the columns of a batch, and the desk's own token", async () => {
  const document = (await (await start().request("/openapi.json")).json()) as {
    readonly paths: Record<string, Record<string, { readonly requestBody?: unknown }>>;
    readonly components: unknown;
  };
  const addresses = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(addresses.toSorted()).toEqual([
    "get /healthz",
    "get /openapi.json",
    "get /v1/accounts/{account}",
    "get /v1/contracts",
    "get /v1/desk/events",
    "get /v1/desk/log",
    "get /v1/desk/ws",
    "get /v1/settlements",
    "post /v1/balances",
    "post /v1/contracts",
    "post /v1/contracts/close",
    "post /v1/contracts/closed",
    "post /v1/contracts/lookup",
    "post /v1/deposits",
    "post /v1/desk/commands",
    "post /v1/payouts",
  ]);
  const open = document.paths["/v1/contracts"]?.["post"];
  const accounts = { type: "array", maxItems: 1_000, items: { type: "string" } };
  expect(open?.requestBody).toMatchObject({
    content: {
      "application/json": { schema: { properties: { orders: { properties: { accounts } } } } },
    },
  });
  const codes = JSON.stringify(open);
  expect(codes).toInclude("TOKEN_INVALID");
  expect(codes).not.toInclude("TOKEN_EXPIRED");
  expect(document.components).toMatchObject({
    securitySchemes: { bearer: { description: expect.stringContaining("FANFARE_DESK_TOKEN") } },
  });
});
