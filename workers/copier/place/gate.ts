/**
 * The last look before a send (P4): halts and drains as they are at this
 * moment, and the broker's rate. What may not leave is told to `place` as a
 * broker that is busy: nothing was sent, for certain, and it may come again
 * until the deadline. A Redis that cannot be asked lets nothing through.
 *
 * The first send of new intents needs no look at the halts: their script has
 * just compared them.
 */
import type { PersonId, SubscriptionId } from "../../../domain/ids.ts";
import type { SkipReason } from "../../../domain/copier/outcome.ts";
import type { Job } from "../../../redis/job.ts";
import type { RosterMember } from "../stored/roster.ts";
import type { Broker, OrderBatch } from "../brokers/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Allowance } from "./allowance.ts";
import type { HaltCache } from "./halt-cache.ts";
import { stopOf } from "./hold.ts";
import { place, type History, type Placement } from "./place.ts";

export interface GateParts {
  readonly broker: Broker;
  readonly halts: HaltCache;
  /** Absent where the broker sets no rate. */
  readonly allowance?: Allowance | undefined;
  readonly partition: number;
  readonly clock: Clock;
}

const LOOK_AGAIN_MS = 25;

/** Places a job's orders, in slices that the broker's rate allows at once. */
export async function placeGated(
  parts: GateParts,
  { job, members }: { readonly job: Job; readonly members: readonly RosterMember[] },
  batch: OrderBatch,
  history: History,
): Promise<Placement> {
  const slice = parts.allowance?.slice ?? batch.orders.length;
  const placed: Promise<Placement>[] = [];
  for (let start = 0; start < batch.orders.length; start += slice) {
    const some = { ...batch, orders: batch.orders.slice(start, start + slice) };
    placed.push(placeSlice(parts, job, members, some, history));
  }
  const all = await Promise.all(placed);
  return {
    outcomes: all.flatMap(({ outcomes }) => outcomes),
    sentAtMs: edge(all, "sentAtMs", Math.min),
    answeredAtMs: edge(all, "answeredAtMs", Math.max),
  };
}

/** The first or the last of several placements' times; null where none has one. */
export function edge(
  all: readonly Placement[],
  name: "sentAtMs" | "answeredAtMs",
  pick: (...values: number[]) => number,
): number | null {
  const times = all.flatMap((each) => each[name] ?? []);
  return times.length === 0 ? null : pick(...times);
}

async function placeSlice(
  { broker, halts, allowance, partition, clock }: GateParts,
  job: Job,
  members: readonly RosterMember[],
  batch: OrderBatch,
  history: History,
): Promise<Placement> {
  let stops: readonly (SkipReason | undefined)[] = [];
  let isFirst = !history.maybeSent;
  let sentAtMs: number | null = null;

  /** Whether any of these orders is stopped: then none of them is sent, and all are looked at again. */
  async function isHeld(): Promise<boolean> {
    const now = await halts.of(partition, true);
    if (now.scopes.size === 0) {
      stops = [];
      return false;
    }
    const followers = new Map<SubscriptionId, PersonId>(
      members.map(({ subscription, follower }) => [subscription, follower]),
    );
    stops = batch.orders.map(({ subscription }) => {
      const follower = followers.get(subscription);
      return follower && stopOf(now, job, follower);
    });
    return stops.some(Boolean);
  }

  const gated: Broker = {
    ...broker,
    async open(orders) {
      const looked = isFirst;
      isFirst = false;
      try {
        if (!looked && (await isHeld())) return { kind: "busy", retryAfterMs: LOOK_AGAIN_MS };
        const waitMs = (await allowance?.take(orders.orders.length)) ?? 0;
        if (waitMs > 0) return { kind: "busy", retryAfterMs: waitMs };
      } catch {
        // Redis does not say whether it may leave, so it does not leave yet.
        return { kind: "busy", retryAfterMs: LOOK_AGAIN_MS };
      }
      // Looking took time.
      if (clock.nowMs() > orders.validUntilMs) return { kind: "busy", retryAfterMs: 0 };
      sentAtMs ??= clock.nowMs();
      return await broker.open(orders);
    },
  };
  const placement = await place(gated, batch, history, clock);
  const outcomes = placement.outcomes.map((outcome, index) => {
    const reason = stops[index];
    return reason && outcome.kind === "skipped" ? { ...outcome, reason } : outcome;
  });
  return { ...placement, outcomes, sentAtMs };
}
