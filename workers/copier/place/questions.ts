/**
 * Questions: orders that may have been sent and were never answered. They are
 * put to the broker until it says what became of them; nothing is ever sent
 * again. One that it cannot answer yet makes room for those behind it.
 */
import { countOutcomes, type Outcome } from "../../../domain/copier/outcome.ts";
import type { CopyOutcome } from "../stored/events.ts";
import { answer, releasedOf } from "../stored/outcomes.ts";
import { parseStoredJob, STORED_JOB_FIELDS, type Intents } from "../stored/intents.ts";
import { parseJob } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { freedOf } from "../stored/places.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run } from "../../runtime/redis.ts";
import { batchesOf, inOrder } from "./batches.ts";
import { outcomesEvent, type FanOut } from "./fan-out.ts";
import { ask } from "./place.ts";

/** Between one look-up of a question that cannot be answered yet and the next. */
const PAUSE_MS = 500;

/** While the broker does not answer, the question is put again later. */
export async function answerQuestion(parts: FanOut, entry: Entry): Promise<Verdict> {
  const { redis, broker, partition, clock } = parts;
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const key = new RegionKeys(partition).job(job.signal.id, job.broker, job.shard);
  const stored = parseStoredJob(await redis.send("HMGET", [key, ...STORED_JOB_FIELDS]));
  if (!stored) return { dead: "its intents are gone" };
  const { unknown } = stored;
  if (unknown.length === 0) return "done";

  const asked = only(stored.intents, unknown);
  const batches = batchesOf(job, asked);
  const answers = await Promise.all(
    batches.map(({ askOnly: _, ...batch }) => ask(broker, batch, clock)),
  );
  const answered = answers.map((each) => each ?? []);
  if (answers.every((each) => !each)) return "later";
  const found = inOrder(asked, batches, answered);
  if (found.includes(undefined)) await clock.sleep(PAUSE_MS);
  const outcomes = found.filter((each): each is Outcome => each !== undefined);
  const placement = { outcomes, sentAtMs: null, answeredAtMs: clock.nowMs() };
  const known = { ...asked, orders: asked.orders.filter((_, index) => found[index]) };
  const event = outcomesEvent(job, known, placement);
  const counts = countOutcomes(event.copies.map(([, , outcome]: CopyOutcome) => outcome));
  const released = releasedOf(stored.intents, event);
  const freed = broker.capabilities.ordersPerAccount ? freedOf(stored.intents, event) : undefined;
  const told = { event, counts, released, unknown, freed };
  await run(redis, answer, { partition, entry: entry.id, job, ...told });
  return "acked";
}

function only(intents: Intents, unknown: readonly string[]): Intents {
  const wanted = new Set(unknown);
  const orders = intents.orders.filter(([subscription]) => wanted.has(subscription));
  return { ...intents, orders, skips: [] };
}
