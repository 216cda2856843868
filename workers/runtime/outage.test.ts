import { afterAll, beforeAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { RedisClient } from "bun";
import { MongoServerError } from "mongodb";
import { startRedis, type TestRedis } from "../../tests/support/redis.ts";
import { isOutage, Unavailable } from "./outage.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.stop();
});

async function catchError(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

test("a Redis that is killed or refuses to connect is an outage; a command that it refuses is not", async () => {
  const redis = new RedisClient(server.url, { autoReconnect: false, connectionTimeout: 1_000 });
  expect(isOutage(await catchError(() => redis.send("HGET", ["one argument"])))).toBe(false);
  await redis.send("SET", ["text", "1"]);
  expect(isOutage(await catchError(() => redis.send("HGET", ["text", "field"])))).toBe(false);
  const waiting = catchError(() => redis.send("BLPOP", ["nothing", "5"]));
  await server.kill();
  expect(isOutage(await waiting)).toBe(true);
  const refused = new RedisClient(server.url, { autoReconnect: false, connectionTimeout: 1_000 });
  expect(isOutage(await catchError(() => refused.send("PING", [])))).toBe(true);
  await server.restart();
});

test("a port without a server, and a call that timed out, are outages", async () => {
  expect(isOutage(await catchError(() => fetch("http://127.0.0.1:1/")))).toBe(true);
  const aborted = catchError(() =>
    AbortSignal.abort(new DOMException("", "TimeoutError")).throwIfAborted(),
  );
  expect(isOutage(await aborted)).toBe(true);
  expect(isOutage(new Unavailable("the broker"))).toBe(true);
});

test("a document that SQLite refuses is not an outage, a locked database is", async () => {
  const database = new Database(":memory:");
  database.run("CREATE TABLE t (id UNIQUE)");
  database.run("INSERT INTO t VALUES (1)");
  expect(isOutage(await catchError(() => database.run("INSERT INTO t VALUES (1)")))).toBe(false);
  expect(isOutage(Object.assign(new Error("database is locked"), { code: "SQLITE_BUSY" }))).toBe(
    true,
  );
});

test("a MongoDB without a majority or a disk is an outage, a duplicate document is not", () => {
  const answers = (code: number): Error => new MongoServerError({ message: "", code });
  for (const code of [13, 64, 91, 10107, 14031]) expect(isOutage(answers(code))).toBe(true);
  for (const code of [11000, 121]) expect(isOutage(answers(code))).toBe(false);
});

test("a bug is not an outage", () => {
  expect(isOutage(new TypeError("undefined is not a function"))).toBe(false);
  expect(isOutage("thrown text")).toBe(false);
});
