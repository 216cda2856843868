/**
 * The positions that a job may have to close, and how they were opened: every
 * member of the shard's roster at the opening signal's acceptance, from the roster
 * and from the intents. Either may be lost, and neither is needed to ask a broker
 * to close an order that may be open.
 */
import {
  clientOrderId,
  type AccountId,
  type PersonId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import { readCopies, type Intents } from "../stored/intents.ts";
import { wasSeated, type RosterMember } from "../stored/roster.ts";
import { findMissing } from "./decisions.ts";
import type { ClosingOrder } from "../brokers/port.ts";

export interface Position extends ClosingOrder {
  readonly subscription: SubscriptionId;
  /** Undefined if the roster no longer has the follower. */
  readonly follower: PersonId | undefined;
  /** The broker's name of the instrument. */
  readonly symbol: string;
  /** Whether it is certain that nothing was ever sent for it. */
  readonly isNever: boolean;
}

export function positionsOf(
  { of, version, count, only }: CloseJob,
  intents: Intents | undefined,
  members: readonly RosterMember[],
): Map<SubscriptionId, Position> {
  const positions = new Map<SubscriptionId, Position>();
  const followers = new Map(members.map(({ subscription, follower }) => [subscription, follower]));
  const put = (
    subscription: SubscriptionId,
    account: AccountId,
    how: Partial<Position> = {},
  ): void => {
    positions.set(subscription, {
      clientOrderId: clientOrderId(of.id, subscription),
      subscription,
      account,
      follower: followers.get(subscription),
      stakeCents: 0,
      symbol: of.symbol,
      isNever: false,
      ...how,
    });
  };
  // Without a route to this shard, no follower was copied.
  if (count > 0) {
    for (const member of members) {
      if (wasSeated(member, version)) put(member.subscription, member.account);
    }
    // The intents name every follower. Without them, members that the roster lost and shows again
    // count too.
    const missing = intents ? [] : findMissing({ version, count }, members);
    for (const { subscription, account } of missing) put(subscription, account);
    for (const copy of intents ? readCopies({ signal: of }, intents) : []) {
      const { subscription, account, stakeCents, terms, state } = copy;
      const isNever = state === "skipped";
      put(subscription, account, { stakeCents, symbol: terms?.symbol ?? of.symbol, isNever });
    }
  }
  if (!only) return positions;
  for (const [subscription, account] of only) {
    if (!positions.has(subscription)) put(subscription, account, { isNever: true });
  }
  const wanted = new Set(only.map(([subscription]) => subscription));
  return new Map([...positions].filter(([subscription]) => wanted.has(subscription)));
}
