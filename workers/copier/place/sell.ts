/**
 * Sends closes to the broker, within its guarantees. A halt or the broker's rate
 * delays a close, and never drops it. If a repetition could close twice, a close
 * that may have been sent is only asked about, until it is certain that nothing of
 * it is still in flight.
 */
import type { SubscriptionId } from "../../../domain/ids.ts";
import { openUntilMs, type AcceptedOpen } from "../../../domain/copier/signal.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import { CLOCK_SKEW_MS } from "../stored/run.ts";
import type { Broker, CloseAnswer, CloseBatch, CloseLookUp } from "../brokers/port.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { mayLeave, type Leaving, type SendParts } from "./may-leave.ts";
import type { Position } from "./positions.ts";

/** The broker's answers, as far as there are any. */
export interface Sale {
  readonly answers: ReadonlyMap<SubscriptionId, CloseAnswer | CloseLookUp>;
  /** Copies whose close may be in flight, or may have sold the position. */
  readonly inDoubt: ReadonlySet<SubscriptionId>;
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
  /** How long the broker must not be called. */
  readonly retryAfterMs: number;
}

const LONGEST_WAIT_MS = 1_000;
/** After its note, a close that must not be repeated is sent within this time or not at all. */
const SEND_WITHIN_MS = 1_000;

/** Whether a close may be sent again, even if it may have been executed. */
export function isCloseRepeatable({ capabilities }: Broker): boolean {
  return capabilities.closes === "once";
}

/** How a close is sent: it has no deadline, except one that must follow its note. */
export function toLeaving({ close, broker }: CloseJob, untilMs = Infinity): Leaving {
  const { channel, provider } = close;
  return { channel, provider, broker, isClose: true, untilMs };
}

/**
 * Sells the positions that no halt stops at the moment of sending. A position
 * without an answer is unchanged.
 */
export async function sell(
  parts: SendParts,
  job: CloseJob,
  positions: readonly Position[],
  untilMs = Infinity,
): Promise<Sale> {
  const { broker, allowance, clock } = parts;
  const leaving = toLeaving(job, untilMs);
  const answers = new Map<SubscriptionId, CloseAnswer>();
  const inDoubt = new Set<SubscriptionId>();
  let sentAtMs: number | null = null;
  let answeredAtMs: number | null = null;
  let retryAfterMs = 0;
  const slice = allowance?.slice ?? positions.length;
  for (const group of Map.groupBy(positions, ({ symbol }) => symbol).values()) {
    for (let start = 0; start < group.length; start += slice) {
      const wanted = group.slice(start, start + slice);
      let { leave, waitMs } = await mayLeave(parts, leaving, wanted);
      while (waitMs > 0) {
        await clock.sleep(Math.min(waitMs, LONGEST_WAIT_MS));
        ({ leave, waitMs } = await mayLeave(parts, leaving, wanted));
      }
      if (leave.length === 0) continue;
      sentAtMs ??= clock.nowMs();
      crashPoint("before-close-send");
      const reply = await broker.close(makeBatch(job, leave));
      crashPoint("after-close-answer");
      if (reply.kind === "busy") retryAfterMs = Math.max(retryAfterMs, reply.retryAfterMs);
      if (reply.kind === "unanswered") for (const each of leave) inDoubt.add(each.subscription);
      if (reply.kind !== "answered") continue;
      answeredAtMs = clock.nowMs();
      for (const [index, answer] of reply.answers.entries()) {
        const position = leave[index];
        if (position) answers.set(position.subscription, answer);
      }
    }
  }
  return { answers, inDoubt, sentAtMs, answeredAtMs, retryAfterMs };
}

/**
 * For how long only this close may be sent for its copies, if another could sell
 * them a second time: until an order sent now can no longer arrive and no longer
 * be overlooked. Without end, if the broker's silence proves nothing.
 */
export function aloneForMs({ capabilities }: Broker, of: AcceptedOpen, nowMs: number): number {
  const { lookUp, inFlightMs } = capabilities;
  return lookUp === "authoritative"
    ? SEND_WITHIN_MS + inFlightMs + CLOCK_SKEW_MS
    : Math.max(0, openUntilMs(of) - nowMs);
}

/** Sells the positions that the broker says are open, because another close may have sold some. */
export async function askThenSell(
  parts: SendParts,
  job: CloseJob,
  positions: readonly Position[],
  sentAtMs: number,
): Promise<Sale> {
  const found = await findSold(parts, job, positions, sentAtMs);
  const open = positions.filter(
    ({ subscription }) => found.answers.get(subscription)?.kind === "open",
  );
  const sale = await sell(parts, job, open, sentAtMs + SEND_WITHIN_MS);
  const known = [...found.answers].filter(([, { kind }]) => kind !== "open");
  return { ...sale, answers: new Map([...known, ...sale.answers]) };
}

/**
 * Asks about closes that may have been sent at a given time. A position that is
 * still open stays in doubt until a close sent then can neither have arrived nor
 * be in flight. It stays so without end, if the broker's silence proves nothing.
 */
export async function findSold(
  { broker, clock }: SendParts,
  job: CloseJob,
  positions: readonly Position[],
  sentAtMs: number,
): Promise<Sale> {
  const { lookUp, inFlightMs } = broker.capabilities;
  const isSure =
    lookUp === "authoritative" &&
    clock.nowMs() > sentAtMs + SEND_WITHIN_MS + inFlightMs + CLOCK_SKEW_MS;
  const answers = new Map<SubscriptionId, CloseLookUp>();
  const inDoubt = new Set(positions.map(({ subscription }) => subscription));
  let answeredAtMs: number | null = null;
  for (const group of Map.groupBy(positions, ({ symbol }) => symbol).values()) {
    const reply = await broker.findClosed(makeBatch(job, group));
    if (reply.kind !== "answered") continue;
    answeredAtMs = clock.nowMs();
    for (const [index, answer] of reply.answers.entries()) {
      const position = group[index];
      if (!position) continue;
      answers.set(position.subscription, answer);
      if (answer.kind !== "open" || isSure) inDoubt.delete(position.subscription);
    }
  }
  return { answers, inDoubt, sentAtMs: null, answeredAtMs, retryAfterMs: 0 };
}

function makeBatch({ close, shard }: CloseJob, positions: readonly Position[]): CloseBatch {
  return {
    close: close.id,
    symbol: positions[0]?.symbol ?? "",
    shard,
    orders: positions.map(({ clientOrderId, account, stakeCents }) => ({
      clientOrderId,
      account,
      stakeCents,
    })),
  };
}
