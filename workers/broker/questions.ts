/**
 * Questions: orders that may have been sent and were never answered. They are
 * put to the broker until it says what became of them; nothing is ever sent
 * again.
 */
import { countOutcomes } from "../../domain/outcome.ts";
import { answer, parseStoredJob, STORED_JOB_FIELDS } from "../../redis/fan-out.ts";
import { parseJob } from "../../redis/job.ts";
import { RegionKeys } from "../../redis/keys.ts";
import type { Verdict } from "../consume/consume.ts";
import type { Entry } from "../consume/entries.ts";
import { run } from "../redis-client.ts";
import { batchOf, outcomesEvent, type FanOut } from "./fan-out.ts";
import { ask } from "./place.ts";

/** Rejects while the broker cannot say, so that the loop asks again later. */
export async function answerQuestion(parts: FanOut, entry: Entry): Promise<Verdict> {
  const { redis, broker, partition, clock } = parts;
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const key = new RegionKeys(partition).job(job.signal.id, job.broker, job.shard);
  const stored = parseStoredJob(await redis.send("HMGET", [key, ...STORED_JOB_FIELDS]));
  if (!stored) return { dead: "its intents are gone" };
  if (stored.answered) return "done";

  const outcomes = await ask(broker, batchOf(job, stored.intents));
  if (!outcomes) throw new Error("the broker cannot say yet");
  const placement = { outcomes, sentAtMs: null, answeredAtMs: clock.nowMs() };
  const event = outcomesEvent(job, { ...stored.intents, skips: [] }, placement);
  const counts = countOutcomes(outcomes);
  const { broker: name, shard } = job;
  await run(redis, answer, { partition, entry: entry.id, event, counts, broker: name, shard });
  return "acked";
}
