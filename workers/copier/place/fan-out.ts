/** One job from its stream to its outcomes: decide → intend → place → report. */
import { getLogger } from "@logtape/logtape";
import type { Facts } from "../../../domain/copier/decide.ts";
import { countOutcomes } from "../../../domain/copier/outcome.ts";
import type { CopyOutcome, OutcomesEvent } from "../stored/events.ts";
import { intend, type IntendReply, type Intents } from "../stored/intents.ts";
import { releasedOf, report } from "../stored/outcomes.ts";
import { parseJob, type Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { freedOf } from "../stored/places.ts";
import type { RosterMember } from "../stored/roster.ts";
import type { Halts } from "../stored/halt.ts";
import type { Layers } from "../stored/layers.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { batchesOf, inOrder } from "./batches.ts";
import { decideAll, missingOf, snapshotOf, withoutSending, type Decided } from "./decisions.ts";
import { factsOf } from "./facts.ts";
import { edge, placeGated, type GateParts } from "./gate.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { History, Placement } from "./place.ts";
import type { RosterCache, RosterShard } from "./roster-cache.ts";

export interface FanOut extends GateParts {
  readonly redis: Redis;
  readonly roster: RosterCache;
  readonly layers: LayerCache;
  /** For the metrics: once a job. */
  readonly onReported?: (counts: ReturnType<typeof countOutcomes>) => void;
}

export async function fanOut(parts: FanOut, entry: Entry): Promise<Verdict> {
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const intended = await writeIntents(parts, job);
  if (intended === "later") return "later";
  if (intended !== undefined) {
    const { intents } = intended;
    const placement = await placeAll(parts, job, intended);
    await reportJob(parts, job, entry, intents, placement);
    return "acked";
  }
  return "done";
}

/** Writes the outcomes of a job and acknowledges it; the second to do so changes nothing. */
export async function reportJob(
  { redis, partition, broker, onReported }: FanOut,
  job: Job,
  entry: Entry,
  intents: Intents,
  placement: Placement,
): Promise<void> {
  const event = outcomesEvent(job, intents, placement);
  const counts = countOutcomes(event.copies.map(([, , outcome]) => outcome));
  const released = releasedOf(intents, event);
  const freed = broker.capabilities.ordersPerAccount ? freedOf(intents, event) : undefined;
  const told = { event, counts, intents, released, freed };
  crashPoint("before-report");
  await run(redis, report, { partition, job, entry: entry.id, ...told });
  crashPoint("after-report");
  onReported?.(counts);
}

export const NOTHING_PLACED: Placement = { outcomes: [], sentAtMs: null, answeredAtMs: null };

/** All batches of a job at once: none waits for another. */
async function placeAll(
  parts: FanOut,
  job: Job,
  { intents, members, ...history }: Intended,
): Promise<Placement> {
  const batches = batchesOf(job, intents);
  const placements = await Promise.all(
    batches.map(({ askOnly, ...batch }) =>
      placeGated(parts, { job, members }, batch, { ...intents, ...history, askOnly }),
    ),
  );
  const [first = NOTHING_PLACED] = placements;
  if (placements.length <= 1) return first;
  const told = placements.map(({ outcomes }) => outcomes);
  const found = inOrder(intents, batches, told);
  return {
    outcomes: intents.orders.map(
      ([, , stakeCents], index) => found[index] ?? { kind: "unknown", stakeCents },
    ),
    sentAtMs: edge(placements, "sentAtMs", Math.min),
    answeredAtMs: edge(placements, "answeredAtMs", Math.max),
  };
}

/** After its deadline a job waits this long for its roster, only so that everyone it counted can be named. */
const REBUILT_WITHIN_MS = 30_000;

interface Intended extends Pick<History, "maybeSent"> {
  readonly intents: Intents;
  readonly members: readonly RosterMember[];
}

/** Undefined where the job's outcomes stand already. */
async function writeIntents(parts: FanOut, job: Job): Promise<Intended | "later" | undefined> {
  const { redis, roster, partition, clock } = parts;
  let older: boolean = false;
  let overtaken: Facts | undefined;
  for (let fresh = false; ; fresh = overtaken === undefined) {
    const [shard, halts, layers]: [RosterShard, Halts, Layers] = await Promise.all([
      roster.shardOf(partition, job, fresh),
      parts.halts.of(partition, fresh),
      parts.layers.of(partition, job.signal, fresh),
    ]);
    const snapshot = snapshotOf(job, parts.layers.membersUnder(layers, shard.members));
    // Nearly always nobody is missing, and nothing is looked for.
    const missing = snapshot.length < job.count ? missingOf(job, shard.members) : [];
    const unnamed = Math.max(job.count - snapshot.length - missing.length, 0);
    if (shard.isBehind || shard.hasUnreadable || missing.length > 0 || unnamed > 0) {
      await askForRoster(parts, job);
    }
    // Until the deadline it may still be rebuilt; afterwards everyone who is known is told that it was too late.
    const waitsMs = unnamed > 0 ? REBUILT_WITHIN_MS : 0;
    if (shard.isBehind && clock.nowMs() <= job.signal.deadlineMs + waitsMs) {
      return "later";
    }
    const facts: Facts = overtaken
      ? { ...overtaken, nowMs: clock.nowMs() }
      : await factsOf(parts, job, snapshot);
    // Each of them may have been sent an order at the acceptance, whatever holds now.
    const asOf = older ? asOfAcceptance(job, facts) : facts;
    const decided: Decided = withoutSending(
      decideAll(job, snapshot, halts, asOf),
      job,
      missing,
      older,
    );
    crashPoint("after-decide");
    const reply: IntendReply = await run(redis, intend, {
      partition,
      job,
      shardVersion: shard.version,
      haltsVersion: halts.version,
      layersVersion: layers.version,
      ...decided,
      ordersPerAccount: parts.broker.capabilities.ordersPerAccount,
      older,
    });
    crashPoint("after-intend");
    const { intents } = decided;
    const { members } = shard;
    if (reply.kind === "new") noteMissing(job, missing.length, unnamed);
    if (reply.kind === "new") return { intents, maybeSent: older, members };
    if (reply.kind === "known") return { intents: reply.intents, maybeSent: true, members };
    if (reply.kind === "over") return undefined;
    if (reply.kind === "unfilled") return "later";
    older ||= reply.kind === "older";
    overtaken = overtakenBy(reply, facts);
  }
}

function noteMissing({ signal, broker, shard }: Job, missing: number, unnamed: number): void {
  if (missing === 0 && unnamed === 0) return;
  getLogger(["fanfare", "broker"]).error(
    "the roster lost followers of signal {signal}: {missing} end as FAULT, {unnamed} cannot be named",
    { signal: signal.id, broker, shard, missing, unnamed },
  );
}

/** The records API, which has what is missing, looks at this several times a second. */
async function askForRoster(
  { redis, partition }: FanOut,
  { signal: { channel } }: Job,
): Promise<void> {
  await redis.send("SADD", [new RegionKeys(partition).rostersBehind, channel]);
}

function asOfAcceptance({ signal }: Job, facts: Facts): Facts {
  return { ...facts, nowMs: signal.acceptedAtMs, maybeSent: true };
}

/** What others took while it was decided; all else is as fresh as it was a moment ago. */
function overtakenBy(reply: IntendReply, facts: Facts): Facts | undefined {
  if (reply.kind === "overtaken") {
    return { ...facts, usages: new Map([...(facts.usages ?? []), ...reply.usages]) };
  }
  if (reply.kind === "crowded") {
    return { ...facts, crowded: new Set([...(facts.crowded ?? []), ...reply.subscriptions]) };
  }
  return undefined;
}

/** The event that tells of a job's orders as placed, and of its skips where this is the first word on it. */
export function outcomesEvent(job: Job, intents: Intents, placement: Placement): OutcomesEvent {
  const skipped = intents.skips.map(([subscription, account, reason]): CopyOutcome => [
    subscription,
    account,
    { kind: "skipped", reason },
  ]);
  const placed = intents.orders.flatMap(
    ([subscription, account, , terms], index): CopyOutcome[] => {
      const outcome = placement.outcomes[index];
      if (!outcome) return [];
      const { askOnly: reason } = terms ?? {};
      const told = reason && outcome.kind === "skipped" ? { ...outcome, reason } : outcome;
      return [[subscription, account, told]];
    },
  );
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
