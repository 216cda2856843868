/**
 * `npm run desk:restore [-- --force]`: rebuilds the desk's accounts from its
 * audit where Redis has lost any of it. Exits with 0 where all stands as the
 * audit says, 1 where something was left as it is, naming it, 2 where nothing
 * could be done.
 */
import { parseArgs } from "node:util";
import { PartitionMap } from "../../redis/keys.ts";
import { openAudit } from "../desk/audit/open.ts";
import { readEnv, type WorkerEnv } from "../runtime/env.ts";
import { connectRedis } from "../runtime/redis-client.ts";
import { restorePartition, type Restored } from "../desk/restore/restore.ts";

const USAGE = "usage: npm run desk:restore [-- --force]";
const ANSWER_MS = 5_000;
/** Of accounts that are named. */
const NAMED = 10;

function isForced(words: readonly string[]): boolean | undefined {
  try {
    const { values } = parseArgs({ args: [...words], options: { force: { type: "boolean" } } });
    return values.force ?? false;
  } catch {
    return undefined;
  }
}

async function restoreAll(env: WorkerEnv, force: boolean): Promise<readonly Restored[]> {
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const answers = redis.send("PING", []);
  // A connection waits for as long as it takes, which is not what a person does.
  const silence = Bun.sleep(ANSWER_MS).then(() => Promise.reject(new Error("no answer")));
  await Promise.race([answers, silence]);
  const store = await openAudit(env);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const server = env.FANFARE_CONSUMER;
  const restored: Restored[] = [];
  for (const partition of partitions.all()) {
    const options = { redis, store, partitions, server, nowMs: Date.now(), force };
    restored.push(await restorePartition(options, partition));
  }
  redis.close();
  await store.close();
  return restored;
}

function lineOf(each: Restored): string {
  const told = (value: number): string => value.toLocaleString("en");
  switch (each.kind) {
    case "intact":
      return "stands as its audit says";
    case "restored":
      return `restored ${told(each.accounts)} accounts as of ${new Date(each.untilMs).toISOString()} (${told(each.differences)} fields were not so)`;
    case "newer":
      return `left as it is: it has done ${told(each.transactions)} transactions, of which the audit knows ${told(each.audited)}; --force goes back to those`;
    case "contradicted": {
      const names = each.accounts.slice(0, NAMED).join(", ");
      const more = each.accounts.length > NAMED ? ", …" : "";
      return `left as it is: the events of ${told(each.accounts.length)} accounts do not add up to their balance (${names}${more}); --force takes their last balance`;
    }
    case "moved":
      break;
  }
  return "left as it is: the desk is at work; stop its servers, and try again";
}

async function main(): Promise<number> {
  const force = isForced(process.argv.slice(2));
  if (force === undefined) {
    console.error(USAGE);
    return 2;
  }
  const env = readEnv(process.env);
  if (!env.ok) {
    console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  try {
    const restored = await restoreAll(env.value, force);
    for (const each of restored) console.log(`partition ${each.partition}: ${lineOf(each)}`);
    return restored.every(({ kind }) => kind === "intact" || kind === "restored") ? 0 : 1;
  } catch (error) {
    // A library's message may hold an address with its password.
    console.error(`nothing could be restored: ${(error as Error).name}`);
    return 2;
  }
}

if (import.meta.main) process.exit(await main());
