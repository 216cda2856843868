/**
 * The last word on a job that failed too often (P5): before it goes to the dead
 * letters, each of its copies ends. What may have been sent is `unknown` and
 * the broker is asked about it; nothing else will be sent, and is skipped.
 */
import { parseJob } from "../../../redis/job.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run } from "../../runtime/redis.ts";
import { abandon } from "../stored/intents.ts";
import { missingOf, snapshotOf, withoutSending } from "./decisions.ts";
import { NOTHING_PLACED, reportJob, type FanOut } from "./fan-out.ts";

export async function abandonJob(parts: FanOut, entry: Entry): Promise<"acked" | undefined> {
  const job = parseJob(entry.fields);
  if (typeof job === "string") return undefined;
  const { redis, roster, partition, clock } = parts;
  const { members } = await roster.shardOf(partition, job, true);
  const counted = [...snapshotOf(job, members), ...missingOf(job, members)];
  const nothing = { decidedAtMs: clock.nowMs(), orders: [], skips: [] };
  const none = { intents: nothing, reservations: [] };
  const { intents: skipped } = withoutSending(none, job, counted, false);
  const { intents: asked } = withoutSending(none, job, counted, true);
  const reply = await run(redis, abandon, { partition, job, intents: skipped, asked });
  if (reply.kind === "over") return undefined;
  if (reply.kind === "new") {
    await reportJob(parts, job, entry, skipped, NOTHING_PLACED);
    return "acked";
  }
  // What was intended before is known, or lost with an earlier run of this Redis.
  const intents = reply.kind === "known" ? reply.intents : asked;
  const outcomes = intents.orders.map(
    ([, , stakeCents]) => ({ kind: "unknown", stakeCents }) as const,
  );
  await reportJob(parts, job, entry, intents, { ...NOTHING_PLACED, outcomes });
  return "acked";
}
