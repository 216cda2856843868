/**
 * One job for each follower: a common queue, and a plain stream whose entries are read one at a
 * time. Each has its own Redis with `everysec`, its own worker process, and the same debit.
 */
import { startRedis, type TestRedis } from "../../tests/support/redis.ts";
import { until } from "../../tests/support/wait.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { Queue } from "bullmq";
import { median } from "../figures.ts";
import { createBalances } from "./debit.ts";

const RUNS = 3;
/** Jobs that are added in one call. */
const BULK = 1_000;

export async function measureBullMq(jobs: number): Promise<number> {
  return await measure("bullmq", jobs, async ({ port }) => {
    const queue = new Queue("orders", { connection: { host: "127.0.0.1", port } });
    for (let start = 0; start < jobs; start += BULK) {
      await queue.addBulk(
        Array.from({ length: Math.min(BULK, jobs - start) }, (_, index) => ({
          name: "order",
          data: { order: `order-${start + index}`, account: `acct-${start + index}` },
          opts: { removeOnComplete: true },
        })),
      );
    }
    await queue.close();
  });
}

export async function measurePlain(jobs: number): Promise<number> {
  return await measure("plain", jobs, async (_, redis) => {
    const adding = Array.from({ length: jobs }, (__, index) =>
      redis.send("XADD", ["orders", "*", "order", `order-${index}`, "account", `acct-${index}`]),
    );
    await Promise.all(adding);
  });
}

/** Jobs a second from the first that is added to the last that is done; the median of a few runs. */
async function measure(
  name: "bullmq" | "plain",
  jobs: number,
  addAll: (server: TestRedis, redis: Redis) => Promise<void>,
): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < RUNS; round += 1) {
    const server = await startRedis({ appendOnly: true });
    const redis = connectRedis(server.url);
    for (const some of chunks(createBalances(jobs), 1_000)) {
      await redis.send("HSET", ["balances", ...some]);
    }
    const worker = Bun.spawn(
      [process.execPath, `bench/peers/${name}-worker.ts`, String(server.port)],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
    for await (const text of worker.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("ready")) break;
    }
    const startedAt = performance.now();
    await addAll(server, redis);
    // A job is done when it is on the books.
    await until(
      "all jobs are done",
      async () => (await redis.send("HLEN", ["contracts"])) === jobs,
      600_000,
    );
    rates.push((jobs * 1000) / (performance.now() - startedAt));
    worker.kill("SIGKILL");
    await worker.exited;
    redis.close();
    await server.stop();
  }
  return Math.round(median(rates));
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
