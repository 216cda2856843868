/**
 * Questions: orders that may have been sent and were never answered. The broker is
 * asked until it says how they ended; nothing is ever sent again. A question that
 * it cannot answer yet goes behind the others.
 */
import { answer, countCopies } from "../stored/outcomes.ts";
import { parseStoredJob, readCopies, STORED_JOB_FIELDS } from "../stored/intents.ts";
import { parseJob } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run } from "../../runtime/redis.ts";
import { batchCopies } from "./batches.ts";
import type { FanOut } from "./fan-out.ts";
import { ask } from "./place.ts";

/** The pause between two look-ups of a question that cannot be answered yet. */
const PAUSE_MS = 500;

/** If the broker does not answer, the question is asked again later. */
export async function answerQuestion(parts: FanOut, entry: Entry): Promise<Verdict> {
  const { redis, broker, partition, clock } = parts;
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const key = new RegionKeys(partition).job(job.signal.id, job.broker, job.shard);
  const stored = parseStoredJob(await redis.send("HMGET", [key, ...STORED_JOB_FIELDS]));
  if (!stored) return { dead: "its intents are gone" };
  const { unknown } = stored;
  if (unknown.length === 0) return "done";

  const wanted = new Set(unknown);
  const copies = readCopies(job, stored.intents).filter(({ subscription }) =>
    wanted.has(subscription),
  );
  const asking = batchCopies(job, copies).map((batch) => ask(broker, batch, clock));
  if (!(await Promise.all(asking)).includes(true)) return "later";
  if (copies.some(({ outcome }) => !outcome)) await clock.sleep(PAUSE_MS);
  await run(redis, answer, {
    partition,
    job,
    entry: entry.id,
    decidedAtMs: stored.intents.decidedAtMs,
    copies,
    counts: countCopies(copies),
    sentAtMs: null,
    answeredAtMs: clock.nowMs(),
    ordersPerAccount: broker.capabilities.ordersPerAccount,
    unknown,
  });
  return "acked";
}
