/**
 * Brings the copies of a job to their outcomes, within the broker's guarantees.
 * Until the deadline an unanswered batch is sent again only if that cannot open it
 * twice. Otherwise, and after the deadline, the broker is only asked. An order
 * that it cannot answer is `unknown`. A copy that is stopped meanwhile is set
 * aside, and the others of its batch do not wait for it.
 */
import { endUnopened, type Copy } from "../../../domain/copier/copy.ts";
import { stopReason } from "../../../domain/copier/decide.ts";
import type { Job } from "../../../redis/job.ts";
import type {
  Answered,
  Broker,
  BrokerAnswer,
  Busy,
  Capabilities,
  OrderBatch,
} from "../brokers/port.ts";
import type { Decided } from "../stored/intents.ts";
import type { Clock } from "../../runtime/clock.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { batchCopies, type CopyBatch } from "./batches.ts";
import { mayLeave, type Cleared, type SendParts } from "./may-leave.ts";

/**
 * When the first of a job's copies was sent, and when the last one was answered;
 * null if none was.
 */
export interface Times {
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
}

interface Sending {
  readonly parts: SendParts;
  readonly job: Job;
  /** Nothing of it was sent before this. */
  readonly decidedAtMs: number;
  sentAtMs: number | null;
  answeredAtMs: number | null;
}

const PAUSE_MS = 25;
/**
 * How long after the deadline a worker continues to ask before it reports
 * `unknown` and writes a question.
 */
const ASK_FOR_MS = 1_000;
/** How much a broker's clock and ours may differ. */
const CLOCK_SKEW_MS = 1_000;
const TEN_MINUTES_MS = 600_000;

/**
 * Sends all batches of a job at once: none waits for another. If the broker has a
 * rate, they are cut to its allowance.
 */
export async function placeCopies(
  parts: SendParts,
  job: Job,
  { decidedAtMs, copies }: Decided,
): Promise<Times> {
  const sending = { parts, job, decidedAtMs, sentAtMs: null, answeredAtMs: null };
  const slice = parts.allowance?.slice ?? copies.length;
  const placing: Promise<void>[] = [];
  for (const batch of batchCopies(job, copies)) {
    for (let start = 0; start < batch.orders.length; start += slice) {
      const some = { ...batch, orders: batch.orders.slice(start, start + slice) };
      placing.push(place(sending, some, "stops"));
    }
  }
  await Promise.all(placing);
  // P5: each copy ends in an outcome, even if a broker's answer left it out.
  for (const copy of copies) copy.outcome ??= { kind: "unknown", stakeCents: copy.stakeCents };
  return sending;
}

/**
 * `checked` says which checks were just made: for new intents the stops, because
 * their script compares them.
 */
async function place(
  sending: Sending,
  batch: CopyBatch,
  checked: "nothing" | "stops" | "everything",
): Promise<void> {
  const { broker, clock } = sending.parts;
  const { orders, validUntilMs } = batch;
  let state = orders[0]?.state;
  let isChecked = checked === "everything";
  let areStopsCompared = checked === "stops" && state === "unsent";
  const canRepeat = isRepeatable(broker.capabilities, batch, sending.decidedAtMs);
  // P3: the deadline is checked right before each send.
  while (
    clock.nowMs() <= validUntilMs &&
    (state === "unsent" || (state === "maybe-sent" && canRepeat))
  ) {
    const { leave, stopped, waitMs } = isChecked
      ? { leave: orders, stopped: [], waitMs: 0 }
      : await clear(sending, batch, areStopsCompared);
    isChecked = areStopsCompared = false;
    if (leave.length > 0 && stopped.length > 0) {
      await Promise.all([
        place(sending, { ...batch, orders: leave }, "everything"),
        placeLater(sending, { ...batch, orders: stopped }),
      ]);
      return;
    }
    let pauseMs = waitMs;
    if (leave.length > 0) {
      const reply = await send(sending, batch);
      if (reply.kind === "answered") return;
      if (reply.kind === "busy") pauseMs = reply.retryAfterMs;
      else state = "maybe-sent";
    }
    const leftMs = validUntilMs - clock.nowMs() + 1;
    await clock.sleep(Math.max(PAUSE_MS, Math.min(pauseMs, leftMs)));
  }
  if (state !== "unsent") return await askUntilKnown(sending, batch);
  for (const copy of orders) endUnopened(copy);
}

async function placeLater(sending: Sending, batch: CopyBatch): Promise<void> {
  await sending.parts.clock.sleep(PAUSE_MS);
  await place(sending, batch, "nothing");
}

const NOTHING_CLEARED: Cleared<never> = { leave: [], stopped: [], stops: undefined, waitMs: 0 };

/** The part of a batch that may be sent now. A stopped copy stores what stopped it. */
async function clear(
  { parts, job: { signal, broker } }: Sending,
  { orders, validUntilMs }: CopyBatch,
  areStopsCompared: boolean,
): Promise<Cleared<Copy>> {
  crashPoint("before-send");
  const { channel, provider } = signal;
  const leaving = { channel, provider, broker, untilMs: validUntilMs, areStopsCompared };
  try {
    const cleared = await mayLeave(parts, leaving, orders);
    const { stops } = cleared;
    for (const copy of orders) copy.reason = stops && stopReason(stops, copy.follower);
    return cleared;
  } catch {
    // Redis does not say whether it may be sent, so it is not sent yet.
    return NOTHING_CLEARED;
  }
}

async function send(
  sending: Sending,
  batch: CopyBatch,
): Promise<Answered<readonly BrokerAnswer[]> | Busy> {
  const { broker, clock } = sending.parts;
  sending.sentAtMs ??= clock.nowMs();
  const reply = await broker.open(batch);
  crashPoint("after-answer");
  if (reply.kind === "unanswered") for (const copy of batch.orders) copy.state = "maybe-sent";
  if (reply.kind !== "answered") return reply;
  sending.answeredAtMs = clock.nowMs();
  for (const [index, copy] of batch.orders.entries()) copy.outcome = reply.answers[index];
  return reply;
}

async function askUntilKnown(sending: Sending, batch: CopyBatch): Promise<void> {
  const { broker, clock } = sending.parts;
  let { orders } = batch;
  while (clock.nowMs() <= batch.validUntilMs + ASK_FOR_MS) {
    if (await ask(broker, { ...batch, orders }, clock)) {
      sending.answeredAtMs = clock.nowMs();
      orders = orders.filter(({ outcome }) => !outcome);
      if (orders.length === 0) return;
    }
    await clock.sleep(PAUSE_MS);
  }
  for (const copy of orders) copy.outcome = { kind: "unknown", stakeCents: copy.stakeCents };
}

/**
 * P2: whether a batch can be sent again without opening it twice. An id that the
 * broker never forgets may be repeated. An id that it forgets after some time may
 * be repeated only if the broker refuses orders that arrive later than that: a
 * machine can suspend a worker between its look at the clock and the send, for any
 * time.
 */
export function isRepeatable(
  { deduplicates, validUntil }: Capabilities,
  { durationSeconds, validUntilMs }: OrderBatch,
  decidedAtMs: number,
): boolean {
  if (deduplicates === "account") return true;
  if (deduplicates === "none" || validUntil === "ignored") return false;
  const windowMs = deduplicates === "open-orders" ? durationSeconds * 1000 : TEN_MINUTES_MS;
  return validUntilMs + CLOCK_SKEW_MS < decidedAtMs + windowMs;
}

/**
 * Asks about copies that may have been sent, and ends those about which the broker
 * is certain. Returns whether the broker answered.
 */
export async function ask(broker: Broker, batch: CopyBatch, clock: Clock): Promise<boolean> {
  const askedAtMs = clock.nowMs();
  const reply = await broker.lookUp(batch);
  if (reply.kind === "unanswered") return false;
  const isLastWord = askedAtMs > lastWordAtMs(broker.capabilities, batch);
  for (const [index, copy] of batch.orders.entries()) {
    const found = reply.answers[index];
    if (found?.kind === "placed" || found?.kind === "rejected") copy.outcome = found;
    else if (found?.kind === "absent" || isLastWord) endUnopened(copy);
  }
  return true;
}

/**
 * The time from which an order that a look-up does not find was never booked and
 * never will be, although the broker ignores valid-until: nothing is sent after
 * the deadline, and a sent order is in flight no longer than the broker
 * guarantees. (Except if a worker was suspended right before a send: the
 * reconciler names such an order.) Never, if not finding an order proves nothing.
 */
export function lastWordAtMs(
  { lookUp, inFlightMs }: Capabilities,
  { validUntilMs }: OrderBatch,
): number {
  return lookUp === "hint" ? Infinity : validUntilMs + inFlightMs + CLOCK_SKEW_MS;
}
