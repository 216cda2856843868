import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "bun:test";
import { startRedis } from "../../tests/support/redis.ts";
import { runCommand } from "../../tests/support/command.ts";
import { connectRedis } from "../runtime/redis-client.ts";
import { answering } from "./answering.ts";

const server = await startRedis();
const redis = connectRedis(server.url);
const folder = mkdtempSync(join(tmpdir(), "fanfare-answering-"));
afterAll(async () => {
  server.resume();
  redis.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a call fails with the name of its Redis once that has been silent for the limit", async () => {
  const limited = answering(redis, "the Redis of region eu", 200);
  expect(await limited.send("PING", [])).toBe("PONG");
  server.pause();
  const startedAtMs = performance.now();
  const failed = limited.send("PING", []).catch((error: Error) => error);
  expect(await failed).toMatchObject({
    message: "no answer from the Redis of region eu after 0.2 s",
  });
  expect(performance.now() - startedAtMs).toBeWithin(199, 2_000);
  server.resume();
  expect(await limited.send("PING", [])).toBe("PONG");
});

test("a call that waits behind others gets the time that they take", async () => {
  const limited = answering(redis, "Redis", 700);
  const waits = Array.from({ length: 4 }, () =>
    limited.send("XREAD", ["BLOCK", "400", "STREAMS", "none", "$"]),
  );
  expect(await Promise.all(waits)).toEqual([null, null, null, null]);
});

test("a command whose Redis does not answer ends with its exit code and says which", async () => {
  const env = { FANFARE_REDIS_URL: server.url, FANFARE_DATA: folder };
  server.pause();
  const [prove, control] = await Promise.all([
    runCommand(["workers/commands/main.ts", "desk:prove"], env),
    runCommand(["workers/commands/main.ts", "control", "flatten", "platform"], env),
  ]);
  server.resume();
  expect(prove).toMatchObject({
    code: 2,
    out: "",
    err: "nothing could be proven: no answer from Redis after 5 s\n",
  });
  expect(control).toMatchObject({
    code: 1,
    out: "",
    err: "control could not go on: no answer from Redis after 5 s\n",
  });
}, 20_000);
