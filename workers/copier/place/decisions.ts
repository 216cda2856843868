/** What is decided for all of a shard, and what it takes of its followers' caps. */
import { getLogger, type Logger } from "@logtape/logtape";
import { decide, type Decision, type Facts } from "../../../domain/copier/decide.ts";
import { clientOrderId } from "../../../domain/ids.ts";
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

/**
 * P5: members whom the job counted and whom the roster does not show as seated
 * at its version. A row that cannot be read at all, or one that was written
 * anew after a loss, may be any of them or a newcomer's, so nobody of these is
 * copied; the job's count says how many of them end with it.
 */
export function missingOf(
  { version, count }: Pick<Job, "version" | "count">,
  members: readonly RosterMember[],
): readonly RosterMember[] {
  const seated = members.reduce((sum, each) => sum + (wasSeated(each, version) ? 1 : 0), 0);
  if (seated >= count) return [];
  const unreadable = members.filter((each) => each.isUnreadable && each.turns.length === 0);
  const anew = members
    .filter(({ turns }) => turns.length % 2 === 1 && (turns[0] ?? 0) > version)
    .toSorted((a, b) => (a.turns[0] ?? 0) - (b.turns[0] ?? 0));
  return [...unreadable, ...anew].slice(0, count - seated);
}

/** Of these no order leaves: they are skipped as `FAULT`, or the broker is asked where one may have been sent. */
export function withoutSending(
  { intents, ...rest }: Decided,
  { signal }: Job,
  members: readonly RosterMember[],
  maybeSent: boolean,
): Decided {
  if (members.length === 0) return { intents, ...rest };
  const { orders, skips } = intents;
  const named = members.map(({ subscription, account }) => [subscription, account] as const);
  const changed = maybeSent
    ? {
        orders: [
          ...orders,
          ...named.map((each) => [...each, signal.stakeCents, ASK_ONLY] as const),
        ],
      }
    : { skips: [...skips, ...named.map((each) => [...each, "FAULT"] as const)] };
  return { intents: { ...intents, ...changed }, ...rest };
}

const ASK_ONLY = { askOnly: "FAULT" } as const;

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

/**
 * A follower whose row or plan cannot be worked with is skipped as `FAULT`, or
 * only asked about where an order may have been sent; the others of the shard
 * are copied.
 */
function decideSafely(job: Job, member: RosterMember, facts: Facts): Decision {
  if (member.isUnreadable) {
    logOf(job, member).error("the roster row of {subscription} cannot be read");
    return notSent(job, member, facts);
  }
  try {
    return decide(job.signal, member, facts);
  } catch (error) {
    logOf(job, member).error("nothing could be decided for {subscription}: {error}", {
      error: nameOf(error),
    });
    return notSent(job, member, facts);
  }
}

/** Made only where there is something to log: a shard has hundreds of members. */
function logOf({ signal }: Job, { subscription }: RosterMember): Logger {
  return getLogger(["fanfare", "broker"]).with({ signal: signal.id, subscription });
}

function notSent(
  { signal }: Job,
  { subscription, account }: RosterMember,
  { maybeSent }: Facts,
): Decision {
  if (maybeSent !== true) return { kind: "skip", reason: "FAULT" };
  const { stakeCents } = signal;
  const order = {
    clientOrderId: clientOrderId(signal.id, subscription),
    subscription,
    account,
    stakeCents,
  };
  return { kind: "order", order, ...ASK_ONLY };
}
