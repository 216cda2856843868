import { expect, test } from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { markFilled, startRedis } from "../../../tests/support/redis.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run } from "../../runtime/redis.ts";
import { runSince } from "./run.ts";

test("a Redis' run begins at its start, and again at a restart that keeps the data", async () => {
  const beforeMs = Date.now();
  const server = await startRedis({ appendOnly: true, durability: "always" });
  const redis = connectRedis(server.url);
  const first = await run(redis, runSince, { partition: 0 });
  // Redis reports its uptime in whole seconds.
  expect(first).toBeGreaterThan(beforeMs - 2_000);
  expect(first).toBeLessThanOrEqual(Date.now());
  // Looks as if it had run for long: the answer is stored, and is the same for the whole run.
  const key = new RegionKeys(0).run;
  await redis.send("HSET", [key, "sinceMs", "1"]);
  expect(await run(redis, runSince, { partition: 0 })).toBe(1);

  await server.kill();
  const restartedMs = Date.now();
  await server.restart();
  const other = connectRedis(server.url);
  expect(await other.send("HGET", [key, "sinceMs"])).toBe("1");
  expect(await run(other, runSince, { partition: 0 })).toBeGreaterThan(restartedMs - 2_000);

  // A flush does not change the run. The time of the filling shows that earlier data are gone.
  const filledMs = Date.now() + 60_000;
  await other.send("FLUSHALL", []);
  expect(await run(other, runSince, { partition: 0 })).toBeGreaterThan(Date.now() - 1_000);
  await markFilled(other, filledMs);
  expect(await run(other, runSince, { partition: 0 })).toBe(filledMs);
  redis.close();
  other.close();
  await server.stop();
});
