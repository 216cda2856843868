/** The records at the end of a round hold what the events told, each copy once, with its link and its settlement. */
import { returnCents } from "../../domain/contract.ts";
import { clientOrderId, type SubscriptionId } from "../../domain/ids.ts";
import type { BookLine } from "../fake-broker/book.ts";
import { PAYOUT_BP } from "../fake-broker/venue.ts";
import { mayLose } from "./plan.ts";
import { lastWord, textOf, type Told } from "./told.ts";
import { FOLLOWERS, type World } from "./world.ts";

export async function recordFaults(
  { plan, records, fake }: World,
  followers: readonly SubscriptionId[],
  told: readonly Told[],
): Promise<string[]> {
  const faults: string[] = [];
  const booked = new Map(fake.book().map((line) => [line.clientOrderId, line]));
  for (const each of told) {
    const { signal, accepted } = each;
    if (accepted !== "in Redis") continue;
    const stored = await records.signals.get(signal);
    if (stored?.followers !== FOLLOWERS) faults.push(`not recorded: ${signal}`);
    if (stored?.linkHash === undefined) faults.push(`recorded without its link: ${signal}`);
    const orders = await records.orders.find({ where: { signal } });
    const byId = new Map(orders.map((order) => [order._id, order]));
    const expected = new Set<string>(followers.map((follower) => clientOrderId(signal, follower)));
    if (byId.size !== orders.length || orders.some(({ _id }) => !expected.has(_id))) {
      faults.push(`recorded twice, or for nobody: ${signal}`);
    }
    for (const follower of followers) {
      const id = clientOrderId(signal, follower);
      const last = lastWord(each, follower);
      if (!last) continue;
      const order = byId.get(id);
      const wrote =
        order?.outcome === undefined ? "nothing" : textOf({ ...order, kind: order.outcome });
      // What was unknown first and was never opened keeps the stake that it would have had.
      const stakeCents = last.stakeCents ?? order?.stakeCents;
      if (wrote !== textOf(last) || order?.stakeCents !== stakeCents) {
        faults.push(`recorded as ${wrote}, told as ${textOf(last)}: ${id}`);
      } else if (last.kind === "placed" && !mayLose(plan)) {
        const missing = settlementMissing(order, booked.get(id));
        if (missing) faults.push(`recorded as placed, not as settled: ${id}`);
      }
    }
  }
  return faults;
}

function settlementMissing(
  order: { readonly returnCents?: number } | undefined,
  line: BookLine | undefined,
): boolean {
  // A contract of a minute is open still.
  if (!line || line.expiresAtMs > Date.now()) return false;
  return order?.returnCents !== returnCents("won", line.stakeCents, PAYOUT_BP);
}
