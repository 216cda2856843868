import { expect, test } from "bun:test";
import { asId, signalIdIn, type ChannelId, type PersonId } from "../../../domain/ids.ts";
import { enqueue } from "../../../redis/enqueue.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run } from "../../runtime/redis.ts";

test("a dispatch repeated, in whole or in part, enqueues each shard's job once", async () => {
  const server = await startRedis();
  const redis = connectRedis(server.url);
  const provider = asId<PersonId>("provider");
  const signal = {
    ...{ id: signalIdIn(0, "0".repeat(32)), channel: asId<ChannelId>("demo"), sender: provider },
    ...{ provider, sequence: 1, acceptedAtMs: 1, deadlineMs: 2, symbol: "EUR/USD" },
    ...{ contract: "CALL" as const, stakeCents: 100, durationSeconds: 60 },
  };
  const shards = [0, 1, 2].map((shard) => ({ shard, version: 1, count: 1 }));
  const args = { signal, partition: 0, broker: "desk", shards };
  await run(redis, enqueue, { ...args, shards: shards.slice(1) });
  await run(redis, enqueue, args);
  await run(redis, enqueue, args);
  expect(await redis.send("XLEN", [new RegionKeys(0).jobs("desk")])).toBe(3);
  redis.close();
  await server.stop();
});
