/** The verdict of a round: compares the fake broker's own book with the reported outcomes. */
import { clientOrderId } from "../../domain/ids.ts";
import { isOverlooked } from "../fake-broker/venue.ts";
import { mayLose, type Plan } from "./plan.ts";
import { judgeCloses } from "./sold.ts";
import type { Traded, Verdict } from "./traded.ts";
import { filterFinal, findLastOutcome, formatOutcome } from "./reported.ts";

export function judge(traded: Traded): Verdict {
  const { plan, followers, reported, book } = traded;
  const { broker, disaster } = plan;
  const faults: string[] = [];
  const exceptions: string[] = [];
  const counts: Record<string, number> = {};
  const booked = Map.groupBy(book, (line) => line.clientOrderId);
  const lost = mayLose(plan) ? exceptions : faults;

  for (const [id, lines] of booked) {
    if (lines.length > 1) faults.push(`booked ${lines.length} times: ${id}`);
  }
  const late = new Set<string>();
  for (const { clientOrderId: id, bookedAtMs, validUntilMs } of book) {
    if (bookedAtMs <= validUntilMs) continue;
    late.add(id);
    const text = `booked ${bookedAtMs - validUntilMs} ms after its deadline: ${id}`;
    (broker.validUntil === "enforced" ? faults : exceptions).push(text);
  }
  for (const each of reported) {
    const { signal, accepted, words } = each;
    if (accepted === "nowhere") {
      const orders = book.filter((line) => line.clientOrderId.startsWith(`${signal}.`)).length;
      lost.push(`accepted and lost, with ${orders} orders booked: ${signal}`);
      continue;
    }
    if (accepted === "in the records") lost.push(`known to the records alone: ${signal}`);
    if (accepted === "in Redis" && !each.enqueued) lost.push(`a job is gone: ${signal}`);
    for (const follower of followers) {
      const id = clientOrderId(signal, follower);
      const final = filterFinal(words.get(follower));
      const lines = booked.get(id) ?? [];
      const last = findLastOutcome(each, follower);
      const text = last ? formatOutcome(last) : "nothing";
      counts[text] = (counts[text] ?? 0) + 1;
      if (final.length > 1)
        faults.push(`reported ${final.map(formatOutcome).join(" and ")}: ${id}`);
      if (!last) {
        // One Redis loses the last writes: if the acceptance is still there, all that follows is
        // repeated.
        const kept = accepted === "in Redis" && disaster.kind !== "kill primary";
        (kept ? faults : lost).push(`no outcome, ${lines.length} booked: ${id}`);
      } else if (last.kind === "placed") {
        const [line] = lines;
        if (!line) faults.push(`reported placed, not booked: ${id}`);
        else if (line.stakeCents !== last.stakeCents) {
          faults.push(`reported placed at ${last.stakeCents}, booked at ${line.stakeCents}: ${id}`);
        }
      } else if (last.kind === "unknown") {
        // The question that would have settled it was lost with the acceptance.
        const asked = accepted === "in Redis" ? faults : lost;
        if (!mayStayUnknown(broker, id, lines.length)) asked.push(`unknown to the end: ${id}`);
      } else if (lines.length > 0) {
        const excused = late.has(id) && disaster.kind === "halt" && disaster.at === "before-send";
        (excused ? exceptions : faults).push(`reported ${text}, but booked: ${id}`);
      }
    }
  }
  const closes = judgeCloses(traded, late);
  return {
    faults: [...faults, ...closes.faults],
    exceptions: [...exceptions, ...closes.exceptions],
    counts: { ...counts, ...closes.counts },
  };
}

/**
 * Whether the outcome can never be known: the look-up is only a hint, and does not show the order.
 */
export function mayStayUnknown(
  { lookUp }: Plan["broker"],
  clientOrder: string,
  standing: number,
): boolean {
  return lookUp === "hint" && (standing === 0 || isOverlooked(clientOrder));
}
