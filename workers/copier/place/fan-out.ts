/** One job from its stream to its outcomes: decide → intend → place → report. */
import { getLogger } from "@logtape/logtape";
import type { Facts } from "../../../domain/copier/decide.ts";
import { mayStillLeave, type Copy } from "../../../domain/copier/copy.ts";
import type { OutcomeCounts } from "../../../domain/copier/outcome.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import {
  intend,
  readCopies,
  type Decided,
  type IntendReply,
  type StandingNow,
} from "../stored/intents.ts";
import { countCopies, report } from "../stored/outcomes.ts";
import { parseJob, type Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { addStops, haltScopes, type Halts } from "../stored/halt.ts";
import type { Layers } from "../stored/layers.ts";
import type { RosterMember } from "../stored/roster.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { decideAll, findMissing, takeSnapshot } from "./decisions.ts";
import { readFacts } from "./facts.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { SendParts } from "./may-leave.ts";
import { placeCopies, type Times } from "./place.ts";
import { parseShard, type RosterCache, type RosterShard } from "./roster-cache.ts";
import { readStops } from "./stops.ts";

export interface FanOut extends SendParts {
  readonly redis: Redis;
  readonly roster: RosterCache;
  readonly layers: LayerCache;
  /** For the metrics: called once for each job. */
  readonly onReported?: (counts: OutcomeCounts) => void;
  /** For the metrics: called when the state of a decision has changed. */
  readonly onStale?: () => void;
}

export async function fanOut(parts: FanOut, entry: Entry): Promise<Verdict> {
  const job = parseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const decided = await writeIntents(parts, job);
  if (decided === "later") return "later";
  if (decided === undefined) return "done";
  const times = await placeCopies(parts, job, decided);
  await reportJob(parts, job, entry, decided, times);
  return "acked";
}

/** Writes the outcomes of a job and acknowledges it. A second call changes nothing. */
export async function reportJob(
  { redis, partition, broker, onReported }: FanOut,
  job: Job,
  entry: Entry,
  { decidedAtMs, copies }: Decided,
  { sentAtMs, answeredAtMs }: Times = NOT_SENT,
): Promise<void> {
  const counts = countCopies(copies);
  const { ordersPerAccount } = broker.capabilities;
  await run(redis, report, {
    partition,
    job,
    entry: entry.id,
    decidedAtMs,
    copies,
    counts,
    sentAtMs,
    answeredAtMs,
    ordersPerAccount,
  });
  onReported?.(counts);
}

const NOT_SENT: Times = { sentAtMs: null, answeredAtMs: null };

/**
 * After its deadline a job waits this long for its roster, only so that all
 * counted followers can be named.
 */
const REBUILT_WITHIN_MS = 30_000;

/** Undefined if the job's outcomes are already written. */
async function writeIntents(parts: FanOut, job: Job): Promise<Decided | "later" | undefined> {
  const { redis, roster, partition, clock } = parts;
  const { channel, provider } = job.signal;
  let older: boolean = false;
  let overtaken: Facts | undefined;
  let stales = 0;
  let now: [RosterShard, Halts, Layers] | undefined;
  for (let fresh = false; ; fresh = overtaken === undefined) {
    const [shard, halts, layers]: [RosterShard, Halts, Layers] =
      now ??
      (await Promise.all([
        roster.shardOf(partition, job, fresh),
        parts.halts.of(partition, fresh),
        parts.layers.of(partition, job.signal, fresh),
      ]));
    const snapshot = takeSnapshot(job, parts.layers.membersUnder(layers, shard.members));
    // Nearly always none is missing, and there is nothing to search.
    const missing = snapshot.length < job.count ? findMissing(job, shard.members) : [];
    const unnamed = Math.max(job.count - snapshot.length - missing.length, 0);
    if (shard.isBehind || shard.hasUnreadable || missing.length > 0 || unnamed > 0) {
      await askForRoster(parts, job);
    }
    // It may still be rebuilt until the deadline. Afterwards it is too late for all known
    // followers.
    const waitsMs = unnamed > 0 ? REBUILT_WITHIN_MS : 0;
    if (shard.isBehind && clock.nowMs() <= job.signal.deadlineMs + waitsMs) {
      return "later";
    }
    const facts: Facts = overtaken
      ? { ...overtaken, nowMs: clock.nowMs() }
      : await readFacts(parts, job, snapshot);
    const asOf: Facts = {
      ...facts,
      stops: readStops(halts, { channel, provider, broker: job.broker }),
      ...(missing.length > 0 && {
        faulty: new Set(missing.map(({ subscription }) => subscription)),
      }),
      // Each of them may have been sent an order at the acceptance, even if today's facts forbid
      // it.
      ...(older && { nowMs: job.signal.acceptedAtMs, maybeSent: true }),
    };
    const all = missing.length > 0 ? [...snapshot, ...missing] : snapshot;
    const decided: Decided = { decidedAtMs: asOf.nowMs, copies: decideAll(job, all, asOf) };
    const reply: IntendReply = await run(redis, intend, {
      partition,
      job,
      shardVersion: shard.version,
      haltsVersion: halts.version,
      layersVersion: layers.version,
      stales,
      unstopped: now ? findSendingScopes(job, decided.copies) : [],
      decided,
      ordersPerAccount: parts.broker.capabilities.ordersPerAccount,
      older,
    });
    if (reply.kind === "new") {
      noteMissing(job, missing.length, unnamed);
      return decided;
    }
    if (reply.kind === "known") {
      const { intents } = reply;
      const copies = readCopies(job, intents, findFollowers(shard.members));
      return { decidedAtMs: intents.decidedAtMs, copies };
    }
    if (reply.kind === "over") return undefined;
    if (reply.kind === "unfilled") return "later";
    if (reply.kind === "stale") {
      stales += 1;
      parts.onStale?.();
      if (reply.now) now = standingNow(job, reply.now, now?.[1]);
    }
    older ||= reply.kind === "older";
    overtaken = overtakenBy(reply, facts);
  }
}

/**
 * The current state from the third stale reply. A scope that was stopped in any of
 * the later replies counts as stopped, so that the job ends even if stops are set
 * and lifted without end.
 */
function standingNow(
  job: Job,
  { shardVersion, rows, halts, layers }: StandingNow,
  before: Halts | undefined,
): [RosterShard, Halts, Layers] {
  return [parseShard(job, shardVersion, rows), addStops(halts, before), layers];
}

/** The scopes whose stop would stop one of these copies. */
function findSendingScopes({ signal, broker }: Job, copies: readonly Copy[]): readonly Scope[] {
  const sending = copies.filter(mayStillLeave);
  if (sending.length === 0) return [];
  return [
    ...haltScopes(signal.channel, signal.provider, broker),
    ...sending.flatMap(({ follower }): Scope[] => (follower ? [`follower:${follower}`] : [])),
  ];
}

function findFollowers(members: readonly RosterMember[]) {
  return new Map(members.map(({ subscription, follower }) => [subscription, follower]));
}

function noteMissing({ signal, broker, shard }: Job, missing: number, unnamed: number): void {
  if (missing === 0 && unnamed === 0) return;
  getLogger(["fanfare", "broker"]).error(
    "the roster lost followers of signal {signal}: {missing} end as FAULT, {unnamed} cannot be named",
    { signal: signal.id, broker, shard, missing, unnamed },
  );
}

/** The records API has the missing data, and looks at this several times a second. */
async function askForRoster(
  { redis, partition }: FanOut,
  { signal: { channel } }: Job,
): Promise<void> {
  await redis.send("SADD", [new RegionKeys(partition).rostersBehind, channel]);
}

/** What others used during the decision. All other facts are as fresh as a moment ago. */
function overtakenBy(reply: IntendReply, facts: Facts): Facts | undefined {
  if (reply.kind === "overtaken") {
    return { ...facts, usages: new Map([...(facts.usages ?? []), ...reply.usages]) };
  }
  if (reply.kind === "at-capacity") {
    return { ...facts, atCapacity: new Set([...(facts.atCapacity ?? []), ...reply.subscriptions]) };
  }
  return undefined;
}
