/**
 * Places the orders of one shard. Until the deadline an unanswered batch is
 * sent again under the same client order ids, which the broker opens once.
 * After it nothing is sent any more: the broker is only asked, and what it
 * cannot say stays `unknown`.
 */
import type { Outcome } from "../../domain/outcome.ts";
import type { Broker, LookUp, OrderBatch } from "../brokers/port.ts";
import type { Clock } from "../clock.ts";

export interface Placement {
  readonly outcomes: readonly Outcome[];
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
}

const PAUSE_MS = 25;
/** How long after the deadline a worker goes on asking before it says `unknown` and leaves a question. */
const ASK_FOR_MS = 1_000;

export async function place(
  broker: Broker,
  batch: OrderBatch,
  /** Whether these orders may have been sent before, by a worker that did not live to tell. */
  maybeSent: boolean,
  clock: Clock,
): Promise<Placement> {
  let sentAtMs: number | null = null;
  // P3: the deadline is looked at right before each send.
  while (clock.nowMs() <= batch.validUntilMs) {
    sentAtMs ??= clock.nowMs();
    const reply = await broker.open(batch);
    if (reply.kind === "answered") {
      return { outcomes: reply.answers, sentAtMs, answeredAtMs: clock.nowMs() };
    }
    await clock.sleep(PAUSE_MS);
  }
  if (sentAtMs === null && !maybeSent) {
    return { outcomes: batch.orders.map(() => TOO_LATE), sentAtMs, answeredAtMs: null };
  }
  while (clock.nowMs() <= batch.validUntilMs + ASK_FOR_MS) {
    const found = await ask(broker, batch);
    if (found) return { outcomes: found, sentAtMs, answeredAtMs: clock.nowMs() };
    await clock.sleep(PAUSE_MS);
  }
  const outcomes = batch.orders.map(({ stakeCents }) => ({ kind: "unknown" as const, stakeCents }));
  return { outcomes, sentAtMs, answeredAtMs: null };
}

/** What became of orders that may have been sent; undefined while the broker cannot say of all of them. */
export async function ask(
  broker: Broker,
  batch: OrderBatch,
): Promise<readonly Outcome[] | undefined> {
  const reply = await broker.lookUp(batch);
  if (reply.kind === "unanswered") return undefined;
  if (reply.answers.some(({ kind }) => kind === "pending")) return undefined;
  return reply.answers.map(outcomeOf);
}

const TOO_LATE: Outcome = { kind: "skipped", reason: "TOO_LATE" };

function outcomeOf(found: LookUp): Outcome {
  return found.kind === "placed" || found.kind === "rejected" ? found : TOO_LATE;
}
