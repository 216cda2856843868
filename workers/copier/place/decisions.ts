/** What is decided for all of a shard, and what it takes of its followers' caps. */
import { getLogger } from "@logtape/logtape";
import { decide, type Decision, type Facts } from "../../../domain/copier/decide.ts";
import type { IntendedOrder, Intents } from "../stored/intents.ts";
import type { Halts } from "../stored/halt.ts";
import type { Job } from "../../../redis/job.ts";
import { rotate } from "../../../domain/copier/fairness.ts";
import { wasSeated, type RosterMember } from "../stored/roster.ts";
import type { OrderReservation } from "../stored/caps.ts";
import { nameOf } from "../../../http/place.ts";
import { stopOf } from "./hold.ts";

/** P5 and P8: who was there at the acceptance, another first from signal to signal. */
export function snapshotOf(
  { version, signal }: Job,
  members: readonly RosterMember[],
): RosterMember[] {
  return rotate(
    members.filter((member) => wasSeated(member, version)),
    signal.sequence,
  );
}

export interface Decided {
  readonly intents: Intents;
  readonly reservations: readonly OrderReservation[];
}

export function decideAll(
  job: Job,
  snapshot: readonly RosterMember[],
  halts: Halts,
  facts: Facts,
): Decided {
  const orders: IntendedOrder[] = [];
  const skips: Intents["skips"][number][] = [];
  const reservations: OrderReservation[] = [];
  for (const member of snapshot) {
    const { subscription, account } = member;
    const decision = decideSafely(job, member, facts);
    if (decision.kind === "skip") {
      skips.push([subscription, account, decision.reason]);
      continue;
    }
    const stop = stopOf(halts, job, member.follower);
    if (stop && facts.maybeSent !== true) {
      skips.push([subscription, account, stop]);
      continue;
    }
    const { order, terms, reservation, askOnly = stop } = decision;
    if (reservation) reservations.push({ ...reservation, ...order });
    if (reservation || terms || askOnly) {
      const care = {
        ...(reservation ? { reserved: true as const } : {}),
        ...(askOnly && { askOnly }),
      };
      orders.push([subscription, account, order.stakeCents, { ...terms, ...care }]);
    } else {
      orders.push([subscription, account, order.stakeCents]);
    }
  }
  return { intents: { decidedAtMs: facts.nowMs, orders, skips }, reservations };
}

/** A follower whose row or plan cannot be worked with is skipped as `FAULT`; the others of the shard are copied. */
function decideSafely(job: Job, member: RosterMember, facts: Facts): Decision {
  const { subscription } = member;
  const log = getLogger(["fanfare", "broker"]).with({ signal: job.signal.id, subscription });
  if (member.isUnreadable) {
    log.error("the roster row of {subscription} cannot be read");
    return { kind: "skip", reason: "FAULT" };
  }
  try {
    return decide(job.signal, member, facts);
  } catch (error) {
    log.error("nothing could be decided for {subscription}: {error}", { error: nameOf(error) });
    return { kind: "skip", reason: "FAULT" };
  }
}
