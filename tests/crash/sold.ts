/**
 * The verdict of a round's closes: compares the sales on the fake broker's book with the reported
 * outcomes.
 */
import type { SignalId, SubscriptionId } from "../../domain/ids.ts";
import { isOverlooked } from "../fake-broker/venue.ts";
import { followerOf } from "../support/copier.ts";
import { listOrders, type Closing } from "./closings.ts";
import { mayLose } from "./plan.ts";
import type { Hold } from "./world.ts";
import { filterFinal, findLast, formatOutcome } from "./reported.ts";
import type { Traded, Verdict } from "./traded.ts";

export function judgeCloses(traded: Traded, late: ReadonlySet<string>): Verdict {
  const { plan, followers, closings, sales } = traded;
  const faults: string[] = [];
  const exceptions: string[] = [];
  const counts: Record<string, number> = {};
  const lost = mayLose(plan) ? exceptions : faults;
  judgeSales(traded, faults, lost);
  for (const close of closings) {
    if (close.accepted === "nowhere") {
      lost.push(`a close was accepted and lost: ${close.id}`);
      continue;
    }
    for (const each of close.wanted) {
      if (!close.of.includes(each)) lost.push(`not closed by ${close.id}: ${each}`);
    }
    if (close.copies !== close.of.length * followers.length) {
      lost.push(`${close.id} was answered to close ${close.copies} copies`);
    }
    if (close.accepted === "in Redis") {
      for (const each of close.unqueued) lost.push(`a job of a close is gone: ${close.id} ${each}`);
    }
    for (const order of listOrders(close, followers)) {
      const name = `${order} by ${close.id}`;
      const last = findLast(close.words.get(order));
      const finals = filterFinal(close.words.get(order));
      const sale = sales.find(({ sold, close: by }) => sold === order && by === close.id);
      const text = `close ${last ? formatOutcome(last) : "nothing"}`;
      counts[text] = (counts[text] ?? 0) + 1;
      if (finals.length > 1)
        faults.push(`reported ${finals.map(formatOutcome).join(" and ")}: ${name}`);
      if (!last || last.kind === "unknown") {
        if (mayWait(traded, close, order)) continue;
        const kept = close.accepted === "in Redis" && plan.disaster.kind !== "kill primary";
        (kept ? faults : lost).push(`${text} to the end, ${sale ? "sold" : "not sold"}: ${name}`);
      } else if (last.kind === "closed") {
        if (!sale) faults.push(`reported closed, not sold: ${name}`);
        else if (sale.returnCents !== last.returnCents) {
          faults.push(
            `reported closed for ${last.returnCents}, sold for ${sale.returnCents}: ${name}`,
          );
        }
      } else if (sale) faults.push(`reported ${text}, but sold: ${name}`);
      else if (isOpen(traded, order)) {
        // An order that was sent late did not exist yet when its close asked.
        (late.has(order) ? exceptions : faults).push(`reported ${text}, and is open: ${name}`);
      }
    }
  }
  return { faults, exceptions, counts };
}

function judgeSales({ plan, closings, sales, holds }: Traded, faults: string[], lost: string[]) {
  for (const [order, all] of Map.groupBy(sales, ({ sold }) => sold)) {
    if (all.length > 1) faults.push(`sold ${all.length} times: ${order}`);
  }
  for (const { sold, close: by, soldAtMs } of sales) {
    const [signal = "", subscription = ""] = sold.split(".");
    const close = closings.find(({ id }) => id === by);
    const isCovered = close?.accepted === "nowhere" || close?.of.includes(signal as SignalId);
    if (!isCovered) faults.push(`sold by ${by}, which does not close it: ${sold}`);
    // A Redis that lost its tail may have lost the halt too.
    const held = holds.some(
      ({ scope, fromMs, untilMs }) =>
        soldAtMs >= fromMs && soldAtMs < untilMs && isHeldBy(scope, subscription),
    );
    if (held) (mayLose(plan) ? lost : faults).push(`sold under a halt: ${sold}`);
  }
}

function isHeldBy(scope: Hold["scope"], subscription: string): boolean {
  const follower = followerOf(Number(subscription.slice(-4))).follower;
  return scope === `follower:${follower}` || scope === "broker:fake";
}

function isOpen({ book, sales }: Traded, order: string): boolean {
  const isSold = sales.some(({ sold }) => sold === order);
  const now = Date.now();
  return !isSold && book.some((line) => line.clientOrderId === order && now < line.expiresAtMs);
}

/**
 * Whether a copy of a close may have no final outcome during a round: its open is a question that
 * is never answered, or the broker's silence proves nothing about this close or about another that
 * may be in progress. Its job must then still be waiting, and not dropped.
 */
export function mayWait(
  { plan: { broker }, reported, closings, sales }: Traded,
  { id, words, pending }: Closing,
  order: string,
): boolean {
  const [of, subscription] = order.split(".") as [SignalId, SubscriptionId];
  if (!pending.has(of)) return false;
  const opened = reported.find(({ signal }) => signal === of);
  if (opened?.unsure.has(subscription)) return true;
  if (broker.lookUp !== "hint" || broker.closes === "once") return false;
  const isSold = sales.some(({ sold, close }) => sold === order && close === id);
  if (findLast(words.get(order))) return !isSold || isOverlooked(order);
  return closings.some((other) => other.id !== id && other.of.includes(of));
}
