/** Copies as they are between the decision and their outcome. */
import type { Copy } from "../../domain/copier/copy.ts";
import { clientOrderId, type SignalId } from "../../domain/ids.ts";
import {
  packOutcomes,
  type OutcomesEvent,
  type PackedOutcomes,
} from "../../workers/copier/stored/events.ts";
import { memberOf } from "./members.ts";

/** Of a member, for an order that has not been sent. */
export function makeCopy(signal: SignalId, name: string, changes: Partial<Copy> = {}): Copy {
  const { subscription, account, follower } = memberOf(name);
  return {
    clientOrderId: clientOrderId(signal, subscription),
    subscription,
    account,
    stakeCents: 100,
    follower,
    terms: undefined,
    isReserved: false,
    reservation: undefined,
    state: "unsent",
    reason: undefined,
    outcome: undefined,
    ...changes,
  };
}

/** One of which it was decided that no order is made. */
export function makeSkippedCopy(
  signal: SignalId,
  name: string,
  reason: NonNullable<Copy["reason"]>,
): Copy {
  return makeCopy(signal, name, {
    state: "skipped",
    stakeCents: 0,
    reason,
    outcome: {
      kind: "skipped",
      reason,
    },
  });
}

/** An event as a worker writes it. */
export function packEvent({ copies, ...head }: OutcomesEvent): PackedOutcomes {
  return packOutcomes(
    head,
    copies.map(([subscription, account, outcome]) => ({ subscription, account, outcome })),
  );
}
