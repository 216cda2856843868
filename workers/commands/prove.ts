/**
 * `npm run desk:prove`: whether the account events of the audit add up to the
 * balance, for every account of the desk, also while it works. Exits with 0
 * where they do, 1 where any does not, naming each, 2 where nothing could be
 * proven.
 */
import { PartitionMap } from "../../redis/keys.ts";
import { openAudit } from "../desk/audit/open.ts";
import { readEnv } from "../runtime/env.ts";
import { connectRedis } from "../runtime/redis-client.ts";
import { linesOf, proveBooks } from "../desk/prove/prove.ts";

async function main(): Promise<number> {
  const env = readEnv(process.env);
  if (!env.ok) {
    console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  try {
    const redis = connectRedis(env.value.FANFARE_REDIS_URL);
    const store = await openAudit(env.value);
    const partitions = new PartitionMap(env.value.FANFARE_PARTITIONS);
    const proof = await proveBooks(redis, store, partitions);
    console.log(linesOf(proof).join("\n"));
    redis.close();
    await store.close();
    return proof.differences.length === 0 ? 0 : 1;
  } catch (error) {
    // A library's message may hold an address with its password.
    console.error(`nothing could be proven: ${(error as Error).name}`);
    return 2;
  }
}

if (import.meta.main) process.exit(await main());
