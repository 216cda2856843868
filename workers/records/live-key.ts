/**
 * One live subscription per broker account and channel: two would copy each signal twice into the
 * account. The drivers enforce it as a unique value, so it also holds when two requests race. Only
 * a live subscription has the value.
 */
import type { Subscription } from "../../domain/copier/subscription.ts";
import { chunks } from "./chunks.ts";
import type { Records, SubscriptionRecord } from "./port.ts";

type Keyed = Pick<Subscription, "account" | "channel" | "state">;

/** Neither id has a slash. */
export function deriveLiveKey({ account, channel, state }: Keyed): { readonly liveKey?: string } {
  return state === "left" ? {} : { liveKey: `${account}/${channel}` };
}

/**
 * Gives the value to subscriptions that were recorded before it existed. If an account has several
 * live ones to a channel, the first stays (an active one before a paused one, then by id) and the
 * others end; their next version is projected to Redis. Returns how many ended.
 */
export async function fillLiveKeys({
  subscriptions,
}: Pick<Records, "subscriptions">): Promise<number> {
  let ended = 0;
  for (const state of ["active", "paused"]) {
    for await (const some of chunks(subscriptions.each({ state, liveKey: null }))) {
      await subscriptions.mergeAtVersion(
        some.map((each) => ({ _id: each._id, version: each.version, ...deriveLiveKey(each) })),
      );
      const where = { _id: some.map(({ _id }) => _id), state, liveKey: null };
      const without = await subscriptions.find({ where });
      const keys = without.map((each) => deriveLiveKey(each).liveKey ?? null);
      const holders = await subscriptions.find({ where: { liveKey: keys } });
      const taken = new Set(holders.map(({ liveKey }) => liveKey));
      const second = without.filter((each) => taken.has(deriveLiveKey(each).liveKey));
      ended += await subscriptions.putNewer(second.map(endSubscription));
    }
  }
  return ended;
}

function endSubscription(record: SubscriptionRecord): SubscriptionRecord {
  return { ...record, state: "left", version: record.version + 1, outbox: true };
}
