/**
 * Dispatch: the jobs of an accepted signal, in parallel to every region that its routes name, one
 * request for each region. Nothing waits for it, and the sender learns of no failure. A signal that
 * is not confirmed here stays undispatched, and a home worker repeats it. Repeating changes nothing
 * if the job exists already.
 */
import type { SignalId } from "../domain/ids.ts";
import type { AcceptedClose } from "../domain/copier/signal.ts";
import { dispatchesOf, enqueue, type EnqueueReply } from "../redis/enqueue.ts";
import { closeDispatchesOf, enqueueClose } from "../redis/enqueue-close.ts";
import type { Script } from "../redis/script.ts";
import type { Accepted } from "./accept.ts";
import { readClosed } from "./closed.ts";
import type { Edge } from "./edge.ts";
import { log } from "./log.ts";

export async function dispatch(edge: Edge, accepted: Accepted): Promise<void> {
  if (accepted.kind === "repeated") return;
  const { signal, routes } = accepted;
  const isConfirmed =
    signal.action === "close"
      ? await dispatchClose(edge, signal)
      : await enqueueAll(edge, signal.id, enqueue, dispatchesOf(signal, routes));
  if (!isConfirmed) return;
  await edge.confirmations.confirm(signal.id);
}

async function dispatchClose(edge: Edge, close: AcceptedClose): Promise<boolean> {
  const closed = await readClosed(edge, close);
  if (!closed.ok) return false;
  return await enqueueAll(edge, close.id, enqueueClose, closeDispatchesOf(close, closed.value));
}

/** Whether every region has all of its jobs. */
async function enqueueAll<Args>(
  edge: Edge,
  signal: SignalId,
  script: Script<Args, EnqueueReply>,
  dispatches: readonly { readonly region: string; readonly enqueue: Args }[],
): Promise<boolean> {
  const byRegion = Map.groupBy(dispatches, ({ region }) => region);
  const confirmed = await Promise.all(
    [...byRegion].map(async ([region, each]) => {
      const args = each.map(({ enqueue: wanted }) => wanted);
      const isSame = await edge.formats.isSame(region);
      const reply = isSame ? await edge.regions.get(region)?.runAll(script, args) : undefined;
      if (!reply?.ok) {
        log.warn("a region did not confirm its jobs; the home worker will repeat them", {
          signal,
          region,
          configured: edge.regions.has(region),
        });
      }
      return reply?.ok === true && reply.value.every(({ kind }) => kind === "enqueued");
    }),
  );
  return confirmed.every(Boolean);
}
