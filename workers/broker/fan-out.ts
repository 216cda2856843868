/** One job from its stream to its outcomes: decide → intend → place → report. */
import { decide } from "../../domain/decide.ts";
import { clientOrderId } from "../../domain/ids.ts";
import { countOutcomes } from "../../domain/outcome.ts";
import type { CopyOutcome, OutcomesEvent } from "../../redis/events.ts";
import { intend, report, type Intents, type IntendReply } from "../../redis/fan-out.ts";
import { parseJob, type Job } from "../../redis/job.ts";
import type { Halts } from "../../redis/halt.ts";
import { rotate } from "../../redis/route.ts";
import { wasSeated, type RosterMember } from "../../redis/roster.ts";
import type { OrderBatch } from "../brokers/port.ts";
import type { Verdict } from "../consume/consume.ts";
import type { Entry } from "../consume/entries.ts";
import { crashPoint } from "../crash-point.ts";
import { run, type Redis } from "../redis-client.ts";
import { placeGated, type GateParts } from "./gate.ts";
import { stopOf } from "./hold.ts";
import type { History, Placement } from "./place.ts";
import type { RosterCache } from "./roster-cache.ts";

export interface FanOut extends GateParts {
  readonly redis: Redis;
  readonly roster: RosterCache;
}

export async function fanOut(parts: FanOut, entry: Entry): Promise<Verdict> {
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const intended = await writeIntents(parts, job);
  if (intended !== undefined) {
    const { intents, members, ...history } = intended;
    const batch = batchOf(job, intents);
    const placement =
      batch.orders.length > 0
        ? await placeGated(parts, { job, members }, batch, { ...intents, ...history })
        : NOTHING_PLACED;
    const event = outcomesEvent(job, intents, placement);
    const counts = countOutcomes(event.copies.map(([, , outcome]) => outcome));
    const { redis, partition } = parts;
    await run(redis, report, { partition, job, entry: entry.id, event, counts });
    crashPoint("after-report");
    return "acked";
  }
  return "done";
}

const NOTHING_PLACED: Placement = { outcomes: [], sentAtMs: null, answeredAtMs: null };

const NO_HALTS: Halts = { version: "0", scopes: new Map() };

interface Intended extends Pick<History, "maybeSent" | "askOnly"> {
  readonly intents: Intents;
  readonly members: readonly RosterMember[];
}

/** Undefined where the job's outcomes stand already. */
async function writeIntents(
  { redis, roster, halts: known, partition, clock }: FanOut,
  job: Job,
): Promise<Intended | undefined> {
  let older: boolean = false;
  for (let fresh = false; ; fresh = true) {
    const [shard, halts] = await Promise.all([
      roster.shardOf(partition, job, fresh),
      known.of(partition, fresh),
    ]);
    // Who may have been sent an order is one who would have been at the acceptance, whatever holds now.
    const intents: Intents = older
      ? decideAll(job, shard.members, NO_HALTS, job.signal.acceptedAtMs)
      : decideAll(job, shard.members, halts, clock.nowMs());
    crashPoint("after-decide");
    const reply: IntendReply = await run(redis, intend, {
      partition,
      job,
      shardVersion: shard.version,
      haltsVersion: halts.version,
      intents,
      older,
    });
    crashPoint("after-intend");
    const askOnly = older && halts.scopes.size > 0;
    const { members } = shard;
    if (reply.kind === "new") return { intents, maybeSent: older, askOnly, members };
    if (reply.kind === "known") {
      return { intents: reply.intents, maybeSent: true, askOnly, members };
    }
    if (reply.kind === "over") return undefined;
    older ||= reply.kind === "older";
  }
}

function decideAll(
  job: Job,
  members: readonly RosterMember[],
  halts: Halts,
  nowMs: number,
): Intents {
  const orders: Intents["orders"][number][] = [];
  const skips: Intents["skips"][number][] = [];
  const snapshot = members.filter((member) => wasSeated(member, job.version));
  for (const member of rotate(snapshot, job.signal.sequence)) {
    const decision = decide(job.signal, member, { nowMs });
    const stop = stopOf(halts, job, member.follower);
    if (decision.kind === "skip") {
      skips.push([member.subscription, member.account, decision.reason]);
    } else if (stop) {
      skips.push([member.subscription, member.account, stop]);
    } else {
      orders.push([member.subscription, member.account, decision.order.stakeCents]);
    }
  }
  return { decidedAtMs: nowMs, orders, skips };
}

export function batchOf({ signal }: Job, intents: Intents): OrderBatch {
  return {
    symbol: signal.symbol,
    contract: signal.contract,
    durationSeconds: signal.durationSeconds,
    validUntilMs: signal.deadlineMs,
    orders: intents.orders.map(([subscription, account, stakeCents]) => ({
      clientOrderId: clientOrderId(signal.id, subscription),
      subscription,
      account,
      stakeCents,
    })),
  };
}

/** The event that tells of a job's orders as placed, and of its skips where this is the first word on it. */
export function outcomesEvent(job: Job, intents: Intents, placement: Placement): OutcomesEvent {
  const skipped = intents.skips.map(([subscription, account, reason]): CopyOutcome => [
    subscription,
    account,
    { kind: "skipped", reason },
  ]);
  const placed = intents.orders.flatMap(([subscription, account], index): CopyOutcome[] => {
    const outcome = placement.outcomes[index];
    return outcome ? [[subscription, account, outcome]] : [];
  });
  return {
    kind: "outcomes",
    signal: job.signal.id,
    broker: job.broker,
    shard: job.shard,
    acceptedAtMs: job.signal.acceptedAtMs,
    dispatchedAtMs: job.dispatchedAtMs,
    decidedAtMs: intents.decidedAtMs,
    sentAtMs: placement.sentAtMs,
    answeredAtMs: placement.answeredAtMs,
    copies: [...skipped, ...placed],
  };
}
