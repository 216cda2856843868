/**
 * Places the orders of one batch, by what the broker can do. Until the
 * deadline an unanswered batch is sent again only where that cannot open it
 * twice; everywhere else, and after the deadline, the broker is only asked.
 * What it cannot say stays `unknown`.
 */
import type { Outcome } from "../../../domain/copier/outcome.ts";
import type { Broker, Capabilities, LookUp, OrderBatch } from "../brokers/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import { crashPoint } from "../../runtime/crash-point.ts";

export interface Placement {
  readonly outcomes: readonly Outcome[];
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
}

const PAUSE_MS = 25;
/** How long after the deadline a worker goes on asking before it says `unknown` and leaves a question. */
const ASK_FOR_MS = 1_000;
/** By how much a broker's clock and ours may differ. */
const CLOCK_SKEW_MS = 1_000;
const TEN_MINUTES_MS = 600_000;

/** What is known of a batch before this worker does anything with it. */
export interface History {
  /** Nothing of it was sent before this. */
  readonly decidedAtMs: number;
  /** Whether it may have been sent since, by a worker that did not live to tell. */
  readonly maybeSent: boolean;
  /** Whether nothing of it may be sent now. */
  readonly askOnly?: boolean;
}

export async function place(
  broker: Broker,
  batch: OrderBatch,
  { decidedAtMs, maybeSent, askOnly = false }: History,
  clock: Clock,
): Promise<Placement> {
  const repeatable = !askOnly && isRepeatable(broker.capabilities, batch, decidedAtMs);
  let sentAtMs: number | null = null;
  let underWay = maybeSent;
  // P3: the deadline is looked at right before each send.
  while (clock.nowMs() <= batch.validUntilMs && (repeatable || !underWay)) {
    sentAtMs ??= clock.nowMs();
    crashPoint("before-send");
    const reply = await broker.open(batch);
    crashPoint("after-answer");
    if (reply.kind === "answered") {
      return { outcomes: reply.answers, sentAtMs, answeredAtMs: clock.nowMs() };
    }
    if (reply.kind === "unanswered") underWay = true;
    const leftMs = batch.validUntilMs - clock.nowMs() + 1;
    const wantedMs = reply.kind === "busy" ? reply.retryAfterMs : PAUSE_MS;
    await clock.sleep(Math.max(PAUSE_MS, Math.min(wantedMs, leftMs)));
  }
  if (!underWay) {
    return { outcomes: batch.orders.map(() => TOO_LATE), sentAtMs: null, answeredAtMs: null };
  }
  let found: Findings = [];
  while (clock.nowMs() <= batch.validUntilMs + ASK_FOR_MS) {
    found = (await ask(broker, batch, clock)) ?? found;
    if (isComplete(found, batch)) {
      return { outcomes: found, sentAtMs, answeredAtMs: clock.nowMs() };
    }
    await clock.sleep(PAUSE_MS);
  }
  const outcomes = batch.orders.map(
    ({ stakeCents }, index): Outcome => found[index] ?? { kind: "unknown", stakeCents },
  );
  return { outcomes, sentAtMs, answeredAtMs: found.length > 0 ? clock.nowMs() : null };
}

/**
 * P2: whether sending a batch again cannot open it twice. An id that is known
 * for good may be repeated. One that is forgotten some day may be repeated only
 * if whatever arrives after that day is refused for being late: a worker can be
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

/** What became of the orders of a batch, in its order; undefined where that is not certain yet. */
export type Findings = readonly (Outcome | undefined)[];

export function isComplete(found: Findings, { orders }: OrderBatch): found is readonly Outcome[] {
  return found.length === orders.length && !found.includes(undefined);
}

/** Asks about orders that may have been sent; undefined where the broker does not answer. */
export async function ask(
  broker: Broker,
  batch: OrderBatch,
  clock: Clock,
): Promise<Findings | undefined> {
  const askedAtMs = clock.nowMs();
  const reply = await broker.lookUp(batch);
  if (reply.kind === "unanswered") return undefined;
  const isLastWord = askedAtMs > lastWordAtMs(broker.capabilities, batch);
  return reply.answers.map((each) => outcomeOf(each, isLastWord));
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

const TOO_LATE: Outcome = { kind: "skipped", reason: "TOO_LATE" };

function outcomeOf(found: LookUp, isLastWord: boolean): Outcome | undefined {
  if (found.kind === "placed" || found.kind === "rejected") return found;
  return found.kind === "absent" || isLastWord ? TOO_LATE : undefined;
}
