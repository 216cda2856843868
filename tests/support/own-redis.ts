/** A Redis for the tests of one file and a client of it. Both end after the last of them. */
import { afterAll } from "bun:test";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { startRedis, type TestRedis } from "./redis.ts";

/** Await it at the top of the file. */
export async function openRedis(
  how?: Parameters<typeof startRedis>[0],
): Promise<{ readonly server: TestRedis; readonly redis: Redis }> {
  const server = await startRedis(how);
  const redis = connectRedis(server.url);
  afterAll(async () => {
    redis.close();
    await server.stop();
  });
  return { server, redis };
}
