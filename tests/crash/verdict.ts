/** The verdict of a round: the fake broker's own book against what every follower was told. */
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import type { BookLine } from "../fake-broker/book.ts";
import { isOverlooked } from "../fake-broker/venue.ts";
import type { Plan } from "./plan.ts";

export interface Told {
  readonly signal: SignalId;
  /** Undefined where the acceptance itself is gone. */
  readonly outcomes: ReadonlyMap<string, readonly string[]> | undefined;
}

export interface Verdict {
  /** What must never be. */
  readonly faults: readonly string[];
  /** What may be in a round such as this, each by its name. */
  readonly exceptions: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

export function judge(
  { broker, disaster }: Plan,
  followers: readonly SubscriptionId[],
  told: readonly Told[],
  book: readonly BookLine[],
): Verdict {
  const faults: string[] = [];
  const exceptions: string[] = [];
  const counts: Record<string, number> = {};
  const booked = Map.groupBy(book, (line) => line.clientOrderId);

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
  for (const { signal, outcomes } of told) {
    if (!outcomes) {
      const orders = book.filter((line) => line.clientOrderId.startsWith(`${signal}.`)).length;
      const text = `accepted and lost, with ${orders} orders booked: ${signal}`;
      (disaster.kind === "cut Redis" ? exceptions : faults).push(text);
      continue;
    }
    for (const follower of followers) {
      const id = clientOrderId(signal, follower);
      const words = outcomes.get(follower) ?? [];
      const final = words.filter((word) => word !== "unknown");
      const standing = booked.get(id)?.length ?? 0;
      const last = final[0] ?? words[0] ?? "nothing";
      counts[last] = (counts[last] ?? 0) + 1;
      if (last === "nothing") faults.push(`no outcome: ${id}`);
      if (final.length > 1) faults.push(`told ${final.join(" and ")}: ${id}`);
      if (last === "placed" && standing === 0) faults.push(`told placed, not booked: ${id}`);
      if (last === "unknown" && !mayStayUnknown(broker, id, standing)) {
        faults.push(`unknown to the end: ${id}`);
      }
      if (/^(skipped|rejected)/.test(last) && standing > 0) {
        const text = `told ${last}, but booked: ${id}`;
        (late.has(id) && disaster.kind === "halt before send" ? exceptions : faults).push(text);
      }
    }
  }
  return { faults, exceptions, counts };
}

/** Whether nobody can ever know: the look-up is but a hint, and does not show the order. */
export function mayStayUnknown(
  { lookUp }: Plan["broker"],
  clientOrder: string,
  standing: number,
): boolean {
  return lookUp === "hint" && (standing === 0 || isOverlooked(clientOrder));
}
