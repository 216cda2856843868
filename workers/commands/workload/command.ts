/**
 * `npm run desk:workload -- FILE …`: drives a desk with a workload file, waits until the audit is
 * drained, prints the figures and proves the books. Exits with 0 if the books are right, 1 if they
 * are not or the desk is gone, 2 for wrong arguments. `local/workload.ts` starts a desk for it if
 * none is named.
 */
import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import * as v from "valibot";
import { openAudit } from "../../desk/audit/open.ts";
import { linesOf, proveBooks } from "../../desk/prove/prove.ts";
import { AUDIT_STORE, DESK, REDIS } from "../../runtime/env.ts";
import type { Context } from "../../runtime/role.ts";
import { Failure, type Command } from "../command.ts";
import { declareOptions, readOptions, USAGE, type WorkloadOptions } from "./arguments.ts";
import { collectBooks } from "./books.ts";
import { auditDrained } from "./drained.ts";
import { DeskDead, drive, type Driven } from "./drive.ts";
import { Progress } from "./progress.ts";
import { computeFigures, formatReport } from "./report.ts";

const WorkloadEnv = v.object({ ...REDIS, ...AUDIT_STORE, ...DESK });

export const command: Command<typeof WorkloadEnv, WorkloadOptions> = {
  description: "runs a workload file on a desk, measures its speed, and proves the books",
  usage: USAGE,
  exits: {
    0: "the books hold",
    1: "the books are wrong, or the run could not be finished",
    2: "the words or the settings cannot be read",
  },
  settings: WorkloadEnv,
  failure: { says: "the run could not be finished", exit: 1 },
  declare: declareOptions,
  read: readOptions,
  run,
};

async function run(
  { settings, connections }: Context<v.InferOutput<typeof WorkloadEnv>>,
  options: WorkloadOptions,
): Promise<number> {
  const urls = options.urls.length > 0 ? options.urls : [settings.FANFARE_DESK_URL];
  const { FANFARE_DESK_TOKEN: token } = settings;
  const driven = await driveAll(options, urls, token);

  const { redis, partitions } = connections;
  const repliedAtMs = performance.now();
  if (!(await auditDrained(redis, partitions))) throw new Failure("the audit is not drained");
  const auditDrainedS = (performance.now() - repliedAtMs) / 1_000;
  console.log(formatReport(driven, auditDrainedS));
  if (options.json !== undefined) await write(options.json, computeFigures(driven, auditDrainedS));

  const store = await openAudit(settings);
  const proof = await proveBooks(redis, store, partitions);
  await store.close();
  console.log(`\n${linesOf(proof).join("\n")}`);
  if (options.books !== undefined) {
    await write(options.books, await collectBooks(redis, partitions, driven.users));
  }
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
      file,
      connections,
      ratePerSecond,
      address: { urls, token, session: randomBytes(9).toString("base64url") },
      onProgress: (answered, bytes) => progress.show(bytes / sizeBytes, answered),
    });
  } catch (error) {
    if (error instanceof DeskDead) throw new Failure("no desk server answers");
    throw error;
  } finally {
    progress.end();
  }
}

async function write(path: string, value: unknown): Promise<void> {
  await Bun.write(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Piece by piece: the log of a long run may be larger than memory. */
async function writeLog(path: string, urls: readonly string[], token: string): Promise<void> {
  for (const url of urls) {
    const headers = { authorization: `Bearer ${token}` };
    // The next server is asked.
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
  throw new Failure("no desk server returns the log");
}
