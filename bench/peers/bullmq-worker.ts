/** A BullMQ worker at its fastest setting: many jobs at once in one process. */
import { Worker } from "bullmq";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run } from "../../workers/runtime/redis.ts";
import { debit } from "./debit.ts";

const port = Number(process.argv[2]);
const redis = connectRedis(`redis://127.0.0.1:${port}`);
const worker = new Worker<{ order: string; account: string }>(
  "orders",
  async ({ data }) => {
    await run(redis, debit, data);
  },
  { connection: { host: "127.0.0.1", port }, concurrency: 200 },
);
await worker.waitUntilReady();
console.log("ready");
