/**
 * Sends closes to the broker, by what it can do. A halt and the broker's rate
 * keep a close waiting, and are never a reason to drop it. Where a repetition could close twice, what may have
 * been sent is only asked about, until it is certain that nothing of it is on
 * its way any more.
 */
import type { SubscriptionId } from "../../../domain/ids.ts";
import { openUntilMs, type AcceptedOpen } from "../../../domain/copier/signal.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import { CLOCK_SKEW_MS } from "../stored/run.ts";
import type { Broker, CloseAnswer, CloseBatch, CloseLookUp } from "../brokers/port.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { mayLeave, type Leaving, type SendParts } from "./may-leave.ts";
import type { Position } from "./positions.ts";

/** What the broker said, as far as it did. */
export interface Sale {
  readonly answers: ReadonlyMap<SubscriptionId, CloseAnswer | CloseLookUp>;
  /** Whose close may be on its way, or have sold the position. */
  readonly inDoubt: ReadonlySet<SubscriptionId>;
  readonly sentAtMs: number | null;
  readonly answeredAtMs: number | null;
  /** How long it wants to be left alone. */
  readonly retryAfterMs: number;
}

const LONGEST_WAIT_MS = 1_000;
/** After its note, a close that must not be repeated leaves within this or not at all. */
const SEND_WITHIN_MS = 1_000;

/** Whether a close may be sent again, also where it may have been done. */
export function isCloseRepeatable({ capabilities }: Broker): boolean {
  return capabilities.closes === "once";
}

/** How a close leaves: it has no deadline, but for one that has to follow its note. */
export function toLeaving({ close, broker }: CloseJob, untilMs = Infinity): Leaving {
  const { channel, provider } = close;
  return { channel, provider, broker, isClose: true, untilMs };
}

/** Sells what no halt stops at the moment of sending; what is not in the answers is as it was. */
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
      const reply = await broker.close(batchOf(job, leave));
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
 * For how long only this close may be sent for its copies, where another could
 * sell them once more: until what is sent now can neither arrive any more nor be
 * overlooked, which is never where the broker's silence proves nothing.
 */
export function aloneForMs({ capabilities }: Broker, of: AcceptedOpen, nowMs: number): number {
  const { lookUp, inFlightMs } = capabilities;
  return lookUp === "authoritative"
    ? SEND_WITHIN_MS + inFlightMs + CLOCK_SKEW_MS
    : Math.max(0, openUntilMs(of) - nowMs);
}

/** Sells what the broker says is open: another close may have sold it. */
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
 * Asks what became of closes that may have been sent at a time. What is open
 * still stays in doubt until a close sent then can neither have arrived nor be
 * under way; never, where the broker's silence proves nothing.
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
    const reply = await broker.findClosed(batchOf(job, group));
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

function batchOf({ close, shard }: CloseJob, positions: readonly Position[]): CloseBatch {
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
