/**
 * Ends a job that failed too often (P5). Before it becomes a dead letter, each of
 * its copies ends. A copy that may have been sent is `unknown`, and the broker is
 * asked about it. All others are skipped and will never be sent.
 */
import { decide, type Facts } from "../../../domain/copier/decide.ts";
import { parseJob } from "../../../redis/job.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run } from "../../runtime/redis.ts";
import { abandon, readCopies, type Decided } from "../stored/intents.ts";
import { findMissing, takeSnapshot } from "./decisions.ts";
import { reportJob, type FanOut } from "./fan-out.ts";

export async function abandonJob(parts: FanOut, entry: Entry): Promise<"acked" | undefined> {
  const job = parseJob(entry.fields);
  if (typeof job === "string") return undefined;
  const { redis, roster, partition, clock } = parts;
  const { members } = await roster.shardOf(partition, job, true);
  const counted = [...takeSnapshot(job, members), ...findMissing(job, members)];
  const nowMs = clock.nowMs();
  const decideUnder = (facts: Facts): Decided => ({
    decidedAtMs: nowMs,
    copies: counted.map((member) => decide(job.signal, member, facts)),
  });
  const skipped = decideUnder({ nowMs, faulty: "all" });
  const asked = decideUnder({ nowMs, faulty: "all", maybeSent: true });
  const reply = await run(redis, abandon, { partition, job, skipped, asked });
  if (reply.kind === "over") return undefined;
  if (reply.kind === "new") {
    await reportJob(parts, job, entry, skipped);
    return "acked";
  }
  // Earlier intents are known, or were lost with an earlier run of this Redis.
  const decided: Decided =
    reply.kind === "known"
      ? { decidedAtMs: reply.intents.decidedAtMs, copies: readCopies(job, reply.intents) }
      : asked;
  for (const copy of decided.copies) {
    copy.outcome ??= { kind: "unknown", stakeCents: copy.stakeCents };
  }
  await reportJob(parts, job, entry, decided);
  return "acked";
}
