/**
 * `npm run desk:workload -- FILE …`: drives a desk with a workload file, waits
 * until the audit is drained, tells the figures and proves the books. Exits
 * with 0 where they hold, 1 where they do not or the desk is gone, 2 where it
 * was called wrongly. `local/workload.ts` brings up a desk for it where none
 * is named.
 */
import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { PartitionMap } from "../../../redis/keys.ts";
import { openAudit } from "../../desk/audit/open.ts";
import { readEnv, required, type WorkerEnv } from "../../runtime/env.ts";
import { linesOf, proveBooks } from "../../desk/prove/prove.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { optionsOf, type WorkloadOptions } from "./arguments.ts";
import { booksOf } from "./books.ts";
import { auditDrained } from "./drained.ts";
import { DeskDead, drive, type Driven } from "./drive.ts";
import { Progress } from "./progress.ts";
import { figuresOf, reportOf } from "./report.ts";

/** Why a run ended before its end; the message is for people. */
class Failed extends Error {}

async function main(): Promise<number> {
  const options = optionsOf(process.argv.slice(2));
  if (!options.ok) {
    console.error(options.fault);
    return 2;
  }
  const env = readEnv(process.env);
  if (!env.ok) {
    console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  try {
    return await run(options.value, env.value);
  } catch (error) {
    // A library's message may hold an address with its password.
    const told = error instanceof Failed ? error.message : (error as Error).name;
    console.error(`the run could not be ended: ${told}`);
    return 1;
  }
}

async function run(options: WorkloadOptions, env: WorkerEnv): Promise<number> {
  const urls = options.urls.length > 0 ? options.urls : [env.FANFARE_DESK_URL];
  const token = required(env, "FANFARE_DESK_TOKEN");
  const driven = await driveAll(options, urls, token);

  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const repliedAtMs = performance.now();
  if (!(await auditDrained(redis, partitions))) throw new Failed("the audit is not drained");
  const auditDrainedS = (performance.now() - repliedAtMs) / 1_000;
  console.log(reportOf(driven, auditDrainedS));
  if (options.json !== undefined) await write(options.json, figuresOf(driven, auditDrainedS));

  const store = await openAudit(env);
  const proof = await proveBooks(redis, store, partitions);
  console.log(`\n${linesOf(proof).join("\n")}`);
  await store.close();
  if (options.books !== undefined) {
    await write(options.books, await booksOf(redis, partitions, driven.users));
  }
  redis.close();
  if (options.log !== undefined) await writeLog(options.log, urls, token);
  return proof.differences.length === 0 ? 0 : 1;
}

async function driveAll(
  { file, connections, ratePerSecond }: WorkloadOptions,
  urls: readonly string[],
  token: string,
): Promise<Driven> {
  const progress = new Progress(process.stderr);
  const sizeBytes = Math.max(1, statSync(file).size);
  try {
    return await drive({
      ...{ file, connections, ratePerSecond },
      address: { urls, token, session: randomBytes(9).toString("base64url") },
      onProgress: (answered, bytes) => progress.show(bytes / sizeBytes, answered),
    });
  } catch (error) {
    if (error instanceof DeskDead) throw new Failed("no desk server answers");
    throw error;
  } finally {
    progress.end();
  }
}

async function write(path: string, value: unknown): Promise<void> {
  await Bun.write(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Piece by piece: the log of a long run is larger than memory. */
async function writeLog(path: string, urls: readonly string[], token: string): Promise<void> {
  for (const url of urls) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(new URL("/v1/desk/log", url), { headers }).catch(() => undefined);
    if (response?.status !== 200 || !response.body) continue;
    const sink = Bun.file(path).writer();
    for await (const piece of response.body) {
      void sink.write(piece);
      await sink.flush();
    }
    await sink.end();
    return;
  }
  throw new Failed("no desk server gives the log");
}

if (import.meta.main) process.exit(await main());
