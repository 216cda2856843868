/**
 * At the end of a round the records contain what the events reported, each copy once, with its link
 * and its settlement.
 */
import { returnCents } from "../support/contract-model.ts";
import { clientOrderId } from "../../domain/ids.ts";
import type { BookLine, SaleLine } from "../fake-broker/book.ts";
import type { OrderRecord } from "../../workers/records/port.ts";
import { PAYOUT_BP } from "../fake-broker/venue.ts";
import { listOrders, type Closing } from "./closings.ts";
import type { Traded } from "./traded.ts";
import { findLast, findLastOutcome, formatOutcome } from "./reported.ts";
import { FOLLOWERS, type World } from "./world.ts";

export async function recordFaults(world: World, traded: Traded): Promise<string[]> {
  const { records } = world;
  const { followers, reported, closings, book } = traded;
  const faults: string[] = [];
  for (const close of closings) faults.push(...(await closeFaults(world, traded, close)));
  const booked = new Map(book.map((line) => [line.clientOrderId, line]));
  const sold = new Map(traded.sales.map((sale) => [sale.sold, sale]));
  for (const each of reported) {
    const { signal, accepted } = each;
    if (accepted !== "in Redis") continue;
    const stored = await records.signals.get(signal);
    if (stored?.followers !== FOLLOWERS) faults.push(`not recorded: ${signal}`);
    if (stored?.linkHash === undefined) faults.push(`recorded without its link: ${signal}`);
    const orders = await records.orders.find({ where: { signal } });
    const byId = new Map(orders.map((order) => [order._id, order]));
    const expected = new Set<string>(followers.map((follower) => clientOrderId(signal, follower)));
    if (byId.size !== orders.length || orders.some(({ _id }) => !expected.has(_id))) {
      faults.push(`recorded twice, or for an unknown follower: ${signal}`);
    }
    for (const follower of followers) {
      const id = clientOrderId(signal, follower);
      const last = findLastOutcome(each, follower);
      if (!last) continue;
      const order = byId.get(id);
      const wrote =
        order?.outcome === undefined ? "nothing" : formatOutcome({ ...order, kind: order.outcome });
      // A copy that was first unknown and was never opened keeps the stake that it would have had.
      const stakeCents = last.stakeCents ?? order?.stakeCents;
      if (wrote !== formatOutcome(last) || order?.stakeCents !== stakeCents) {
        faults.push(`recorded as ${wrote}, reported as ${formatOutcome(last)}: ${id}`);
      } else if (last.kind === "placed") {
        const missing = settlementMissing(order, booked.get(id), sold.get(id));
        if (missing) faults.push(`recorded as placed, not as settled: ${id}`);
      }
    }
  }
  return faults;
}

/** A close's copies have their own orders. */
async function closeFaults(
  { records }: World,
  { followers }: Traded,
  close: Closing,
): Promise<string[]> {
  const { id, copies, accepted, words } = close;
  if (accepted !== "in Redis") return [];
  const faults: string[] = [];
  const stored = await records.signals.get(id);
  if (stored?.followers !== copies) faults.push(`not recorded: ${id}`);
  if (stored?.linkHash === undefined) faults.push(`recorded without its link: ${id}`);
  const orders = await records.orders.find({ where: { signal: id } });
  const byId = new Map(orders.map((order) => [order._id, order]));
  for (const order of listOrders(close, followers)) {
    const last = findLast(words.get(order));
    const wrote = byId.get(`${id}.${order}`);
    byId.delete(`${id}.${order}`);
    if (!last && !wrote) continue;
    const text = wrote?.outcome && formatOutcome({ ...wrote, kind: wrote.outcome });
    const isSame = last && text === formatOutcome(last) && wrote?.returnCents === last.returnCents;
    if (!isSame || wrote?.closes !== order) {
      faults.push(
        `recorded as ${text}, reported as ${last && formatOutcome(last)}: ${order} by ${id}`,
      );
    }
  }
  if (byId.size > 0) faults.push(`recorded for unknown followers: ${[...byId.keys()].join(", ")}`);
  return faults;
}

function settlementMissing(
  order: OrderRecord | undefined,
  line: BookLine | undefined,
  sale: SaleLine | undefined,
): boolean {
  if (sale) return order?.settlement !== "sold" || order.returnCents !== sale.returnCents;
  // A contract of a minute is still open.
  if (!line || line.expiresAtMs > Date.now()) return false;
  return order?.returnCents !== returnCents("won", line.stakeCents, PAYOUT_BP);
}
