/**
 * Takes the copies of a job to their outcomes, by what the broker can do. Until
 * the deadline an unanswered batch is sent again only where that cannot open it
 * twice; everywhere else, and after the deadline, the broker is only asked.
 * What it cannot say is `unknown`. A copy that is stopped meanwhile is set
 * aside: the others of its batch do not wait for it.
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

/** When the first of a job's copies was sent, and the last one answered; null where none was. */
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
/** How long after the deadline a worker goes on asking before it says `unknown` and leaves a question. */
const ASK_FOR_MS = 1_000;
/** By how much a broker's clock and ours may differ. */
const CLOCK_SKEW_MS = 1_000;
const TEN_MINUTES_MS = 600_000;

/** All batches of a job at once: none waits for another. Where the broker has a rate, they are cut to what it allows at once. */
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
  // P5: each ends in an outcome, also one that a broker's answer left out.
  for (const copy of copies) copy.outcome ??= { kind: "unknown", stakeCents: copy.stakeCents };
  return sending;
}

/**
 * `checked` says what was looked at a moment ago of what may leave: of new
 * intents the stops, as their script compares them.
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
  // P3: the deadline is looked at right before each send.
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

/** What of a batch may leave now; a copy that is stopped knows by what. */
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
    // Redis does not say whether it may leave, so it does not leave yet.
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
 * P2: whether sending a batch again cannot open it twice. An id that is known
 * for good may be repeated. One that is forgotten some day may be repeated only
 * if what arrives after that day is refused for being late: a worker can be
 * halted by its machine between looking at its clock and sending, for any time.
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
 * Asks about copies that may have been sent, and ends those of which the broker
 * is certain. Answers whether it answered.
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
 * From when on what a look-up does not find was never booked and never will
 * be, though the broker ignores valid-until: nothing leaves after the deadline,
 * and nothing that left is in flight for longer than the broker's terms say.
 * (Unless a worker was halted right before a send: such an order is named by
 * the reconciler.) Never, where silence proves nothing.
 */
export function lastWordAtMs(
  { lookUp, inFlightMs }: Capabilities,
  { validUntilMs }: OrderBatch,
): number {
  return lookUp === "hint" ? Infinity : validUntilMs + inFlightMs + CLOCK_SKEW_MS;
}
