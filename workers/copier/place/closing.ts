/**
 * Handles one job that closes, from its stream to its outcomes. Copies that cannot
 * be closed yet (their open has no outcome, a halt stops them, the broker does not
 * answer) keep the job waiting: it goes to the end of the stream and is tried
 * again until all are closed.
 */
import { countOutcomes, type CloseOutcome } from "../../../domain/copier/outcome.ts";
import type { SubscriptionId } from "../../../domain/ids.ts";
import { openUntilMs } from "../../../domain/copier/signal.ts";
import { parseCloseJob, type CloseJob } from "../../../redis/close-job.ts";
import { moveClosing, noteSent, type ClosingState } from "../stored/closing.ts";
import type { ClosuresEvent, CopyClosure } from "../stored/events.ts";
import { parseStoredJob, STORED_JOB_FIELDS } from "../stored/intents.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { CLOCK_SKEW_MS, runSince } from "../stored/run.ts";
import type { CloseAnswer, CloseLookUp } from "../brokers/port.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { run } from "../../runtime/redis.ts";
import type { FanOut } from "./fan-out.ts";
import { mayLeave } from "./may-leave.ts";
import { positionsOf, type Position } from "./positions.ts";
import {
  aloneForMs,
  askThenSell,
  findSold,
  isCloseRepeatable,
  toLeaving,
  sell,
  type Sale,
} from "./sell.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long a close that cannot be repeated may be unanswered before it is reported as unknown. */
const UNKNOWN_AFTER_MS = 1_000;

export async function closeShard(parts: FanOut, entry: Entry): Promise<Verdict> {
  const job = parseCloseJob(entry.fields);
  if (typeof job === "string") return { dead: job };
  const { clock } = parts;
  // Entries are in the order in which they were postponed, so none behind this one is due much
  // earlier.
  if (job.notBeforeMs > clock.nowMs()) await clock.sleep(job.notBeforeMs - clock.nowMs());
  const found = await readClosing(parts, job);
  if (found === "roster is behind") return "later";
  const { state, left, positions, isOpenReported } = found;
  // The first step always reports, even if no copy is left.
  if (state.turn > 0 && left.length === 0) return "done";
  const decidedAtMs = clock.nowMs();
  const isPast = decidedAtMs > openUntilMs(job.of);
  if (!isOpenReported && !isPast && job.count > 0) {
    const nothing = { decidedAtMs, outcomes: new Map(), sale: NOTHING_SOLD };
    return await move(parts, job, entry, found, nothing);
  }

  const outcomes = new Map<SubscriptionId, CloseOutcome>();
  const asked: Position[] = [];
  for (const subscription of left) {
    const position = positions.get(subscription);
    if (!position || position.isNever) outcomes.set(subscription, NOT_OPEN);
    else asked.push(position);
  }
  const step = await sellOrAsk(parts, job, found, asked);
  // Another worker has handled the job meanwhile.
  if (step === undefined) return "acked";
  const { sale, sentBeforeMs = decidedAtMs } = step;
  for (const { subscription, stakeCents } of asked) {
    const isMaybeOpen = found.unknown.has(subscription) && !isPast;
    const outcome = readOutcome(sale.answers.get(subscription), isMaybeOpen);
    if (outcome) outcomes.set(subscription, outcome);
    else if (
      !isCloseRepeatable(parts.broker) &&
      sale.inDoubt.has(subscription) &&
      clock.nowMs() > sentBeforeMs + UNKNOWN_AFTER_MS &&
      !state.unknown.includes(subscription)
    ) {
      outcomes.set(subscription, { kind: "unknown", stakeCents });
    }
  }
  return await move(parts, job, entry, step.found, { ...step, decidedAtMs, outcomes });
}

const NOT_OPEN: CloseOutcome = { kind: "skipped", reason: "NOT_OPEN" };

interface Closing {
  /** The text of the state; empty before the first step. */
  readonly text: string;
  readonly state: ClosingState;
  readonly left: readonly SubscriptionId[];
  readonly positions: ReadonlyMap<SubscriptionId, Position>;
  /** Whether the outcomes of the opening job are written, and which copies are still unknown. */
  readonly isOpenReported: boolean;
  readonly unknown: ReadonlySet<SubscriptionId>;
}

async function readClosing(
  { redis, roster, partition }: FanOut,
  job: CloseJob,
): Promise<Closing | "roster is behind"> {
  const { close, of, broker, shard } = job;
  const region = new RegionKeys(partition);
  const opened = region.job(of.id, broker, shard);
  const closing = region.closing(close.id, of.id, broker, shard);
  const [fields, stored, found] = await Promise.all([
    // One read, because unknown copies are written in the same step as the outcomes.
    redis.send("HMGET", [opened, ...STORED_JOB_FIELDS, "outcomes"]) as Promise<(string | null)[]>,
    redis.send("HGET", [closing, "state"]) as Promise<string | null>,
    roster.shardOf(partition, { signal: of, broker, shard, version: job.version }),
  ]);
  if (found.isBehind) {
    await redis.send("SADD", [region.rostersBehind, of.channel]);
    return "roster is behind";
  }
  const intended = parseStoredJob(fields);
  const positions = positionsOf(job, intended?.intents, found.members);
  const text = stored ?? "";
  const state: ClosingState =
    text === "" ? { turn: 0, left: null, unknown: [] } : (JSON.parse(text) as ClosingState);
  const left = state.left ?? [...positions.keys()];
  const unknown = new Set(intended?.unknown ?? []);
  return {
    text,
    state,
    left,
    positions,
    isOpenReported: (fields.at(-1) ?? null) !== null,
    unknown,
  };
}

interface Step {
  readonly sale: Sale;
  /** The current state. */
  readonly found: Closing;
  /** When the copies in doubt were sent. */
  readonly sentBeforeMs?: number;
}

/** Undefined if another worker has handled the job meanwhile. */
async function sellOrAsk(
  parts: FanOut,
  job: CloseJob,
  found: Closing,
  positions: readonly Position[],
): Promise<Step | undefined> {
  const { redis, broker, partition, clock } = parts;
  if (isCloseRepeatable(broker)) return { sale: await sell(parts, job, positions), found };
  const { text: before, state } = found;
  const since = await run(redis, runSince, { partition });
  // A note from before this run of Redis, by this close or another, may be lost. Then something may
  // have been sent until the run began.
  const knownSinceMs = Math.max(job.of.acceptedAtMs - CLOCK_SKEW_MS, state.sureAtMs ?? 0);
  const isOlder = knownSinceMs <= since;
  const sentBeforeMs = state.sentAtMs ?? (isOlder ? since : undefined);
  if (sentBeforeMs !== undefined) {
    return { sale: await findSold(parts, job, positions, sentBeforeMs), found, sentBeforeMs };
  }
  // The broker's rate is checked when they are sent.
  const withoutRate = { ...parts, allowance: undefined };
  const { leave } = await mayLeave(withoutRate, toLeaving(job), positions);
  if (leave.length === 0) return { sale: NOTHING_SOLD, found };
  // The note is written first: a worker that finds it must assume that the close was sent.
  const sentAtMs = clock.nowMs();
  const after = { ...state, turn: state.turn + 1, sentAtMs };
  const aloneMs = aloneForMs(broker, job.of, sentAtMs);
  const reply = await run(redis, noteSent, { partition, job, before, after, aloneMs });
  if (reply === "moved") return undefined;
  if (reply === "another") return { sale: NOTHING_SOLD, found };
  const noted = { ...found, text: JSON.stringify(after), state: after };
  const sale = await askThenSell(parts, job, leave, sentAtMs);
  return { sale, found: noted, sentBeforeMs: sentAtMs };
}

/** Undefined if nothing is certain yet: the position is open, or may still be opened. */
function readOutcome(
  answer: CloseAnswer | CloseLookUp | undefined,
  isMaybeOpen: boolean,
): CloseOutcome | undefined {
  if (answer?.kind === "not-open") return isMaybeOpen ? undefined : NOT_OPEN;
  return answer === undefined || answer.kind === "open" ? undefined : answer;
}

const NOTHING_SOLD: Sale = {
  answers: new Map(),
  inDoubt: new Set<SubscriptionId>(),
  sentAtMs: null,
  answeredAtMs: null,
  retryAfterMs: 0,
};

interface Moved {
  readonly decidedAtMs: number;
  readonly outcomes: ReadonlyMap<SubscriptionId, CloseOutcome>;
  readonly sale: Sale;
  readonly sentBeforeMs?: number;
}

/** Reports the copies that have ended, and postpones the job if something is left. */
async function move(
  { redis, partition, clock }: FanOut,
  job: CloseJob,
  entry: Entry,
  { text: before, state, left: wanted, positions }: Closing,
  { decidedAtMs, outcomes, sale, sentBeforeMs }: Moved,
): Promise<Verdict> {
  const isFinal = (subscription: SubscriptionId): boolean =>
    (outcomes.get(subscription)?.kind ?? "unknown") !== "unknown";
  const left = wanted.filter((each) => !isFinal(each));
  const newlyUnknown = left.filter((each) => outcomes.has(each));
  const unknown = [...state.unknown.filter((each) => !isFinal(each)), ...newlyUnknown];
  const isInDoubt = left.some((each) => sale.inDoubt.has(each));
  const after: ClosingState = {
    turn: state.turn + 1,
    left: outcomes.size === 0 ? state.left : left,
    unknown,
    ...(sentBeforeMs !== undefined && isInDoubt ? { sentAtMs: sentBeforeMs } : {}),
    ...(sentBeforeMs !== undefined && !isInDoubt ? { sureAtMs: clock.nowMs() } : {}),
  };
  const counts = countOutcomes(outcomes.values());
  const answered = state.unknown.filter(isFinal).length;
  const copies = [...outcomes].map(([subscription, outcome]): CopyClosure => [
    subscription,
    // Each copy with an outcome is one of the positions.
    positions.get(subscription)?.account ?? ("" as Position["account"]),
    outcome,
  ]);
  const ended =
    copies.length === 0
      ? {}
      : {
          ended: {
            event: closuresEvent(job, decidedAtMs, sale, copies),
            counts: { ...counts, unknown: counts.unknown - answered },
          },
        };
  const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** job.tries, LONGEST_PAUSE_MS);
  const againAtMs = clock.nowMs() + Math.max(pauseMs, Math.min(sale.retryAfterMs, 60_000));
  await run(redis, moveClosing, {
    partition,
    job,
    before,
    after,
    entry: entry.id,
    ...ended,
    ...(left.length > 0 ? { againAtMs } : {}),
  });
  return "acked";
}

function closuresEvent(
  { close, of, broker, shard, dispatchedAtMs }: CloseJob,
  decidedAtMs: number,
  { sentAtMs, answeredAtMs }: Sale,
  copies: readonly CopyClosure[],
): ClosuresEvent {
  return {
    kind: "closures",
    signal: close.id,
    of: of.id,
    broker,
    shard,
    acceptedAtMs: close.acceptedAtMs,
    dispatchedAtMs,
    decidedAtMs,
    sentAtMs,
    answeredAtMs,
    copies,
  };
}
