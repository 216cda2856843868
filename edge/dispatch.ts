/**
 * Dispatch: the jobs of an accepted signal, in parallel to every region that
 * its routes name, one request a region. Nothing waits for it and no failure
 * of it is told to the sender: what is not confirmed here stays listed as
 * undispatched, and a home worker repeats it, which changes nothing where a
 * job stands already.
 */
import { dispatchesOf, enqueue, type EnqueueArgs } from "../redis/enqueue.ts";
import type { Accepted } from "./accept.ts";
import type { Edge } from "./edge.ts";
import { log } from "./log.ts";

export async function dispatch(edge: Edge, accepted: Accepted): Promise<void> {
  if (accepted.kind === "repeated") return;
  const { signal, routes } = accepted;
  const byRegion = new Map<string, EnqueueArgs[]>();
  for (const each of dispatchesOf(signal, routes)) {
    const list = byRegion.get(each.region) ?? [];
    list.push(each.enqueue);
    byRegion.set(each.region, list);
  }
  const confirmed = await Promise.all(
    [...byRegion].map(async ([region, each]) => {
      const reply = await edge.regions.get(region)?.runAll(enqueue, each);
      if (!reply?.ok) {
        log.warn("a region did not confirm its jobs; the home worker will repeat them", {
          signal: signal.id,
          region,
          configured: reply !== undefined,
        });
      }
      return reply?.ok === true && reply.value.every(({ kind }) => kind === "enqueued");
    }),
  );
  if (!confirmed.every(Boolean)) return;
  await edge.confirmations.confirm(signal.id);
}
