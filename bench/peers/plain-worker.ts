/** The plain design: takes one entry, executes it, acknowledges it, takes the next. */
import { parseRead } from "../../workers/runtime/entries.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run } from "../../workers/runtime/redis.ts";
import { debit } from "./debit.ts";

const redis = connectRedis(`redis://127.0.0.1:${process.argv[2]}`);
await redis.send("XGROUP", ["CREATE", "orders", "workers", "0", "MKSTREAM"]);
const next = ["GROUP", "workers", "one", "COUNT", "1", "BLOCK", "1000", "STREAMS", "orders", ">"];
console.log("ready");
for (;;) {
  for (const { id, fields } of parseRead(await redis.send("XREADGROUP", next))) {
    const order = fields.get("order") ?? "";
    await run(redis, debit, { order, account: fields.get("account") ?? "" });
    await redis.send("XACK", ["orders", "workers", id]);
  }
}
