/** The streams that a broker worker reads in one region partition: jobs, questions and closes. */
import { GROUPS } from "../../../redis/streams.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { consume, type Consumption, type Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import type { Slots } from "../../runtime/slots.ts";
import { abandonJob } from "./abandon.ts";
import { closeShard } from "./closing.ts";
import { fanOut, type FanOut } from "./fan-out.ts";
import { answerQuestion } from "./questions.ts";

/** Shards of one partition that are handled at once. */
const JOBS_AT_ONCE = 8;
const QUESTIONS_AT_ONCE = 2;
/**
 * Closes have their own slots, as many as questions, so that a close stopped by a
 * halt delays no open.
 */
const CLOSES_AT_ONCE = 4;

export interface LoopOptions extends Pick<
  Consumption,
  "connect" | "consumer" | "reclaimIdleMs" | "stop"
> {
  /** Counts entries by result, kind of stream and group. */
  readonly entries?: Metrics["entries"];
  readonly slots?: { readonly jobs: Slots; readonly questions: Slots; readonly closes: Slots };
}

export function runLoops(
  parts: FanOut,
  { slots, entries, ...options }: LoopOptions,
): Promise<void>[] {
  const { redis, clock, broker, partition } = parts;
  const region = new RegionKeys(partition);
  const [group] = GROUPS.jobs;
  const loop = (
    kind: string,
    stream: string,
    concurrency: number,
    handle: (entry: Entry) => Promise<Verdict>,
    more: Pick<Consumption, "slots" | "giveUp" | "mostFailures">,
  ): Promise<void> =>
    consume({
      ...options,
      ...more,
      redis,
      clock,
      stream,
      group,
      batch: 1,
      concurrency,
      trimBelow: GROUPS.jobs,
      handle: (found) => Promise.all(found.map(handle)),
      ...(entries && { count: entries(kind, group) }),
    });
  return [
    loop("jobs", region.jobs(broker.name), JOBS_AT_ONCE, (entry) => fanOut(parts, entry), {
      ...(slots && { slots: slots.jobs }),
      giveUp: (entry) => abandonJob(parts, entry),
    }),
    // A question that fails too often is a dead letter, and its copies stay `unknown`, which is
    // true.
    loop(
      "questions",
      region.questions(broker.name),
      QUESTIONS_AT_ONCE,
      (entry) => answerQuestion(parts, entry),
      {
        ...(slots && { slots: slots.questions }),
      },
    ),
    // A close is never given up, because the follower's position would stay open.
    loop(
      "closes",
      region.closes(broker.name),
      CLOSES_AT_ONCE,
      (entry) => closeShard(parts, entry),
      {
        ...(slots && { slots: slots.closes }),
        mostFailures: Number.POSITIVE_INFINITY,
      },
    ),
  ];
}
