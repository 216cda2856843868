/**
 * Completes what an edge began: every accepted signal that not all regions
 * have confirmed is dispatched again. Enqueueing is idempotent, so it does no
 * harm where the edge was merely slow.
 */
import { getLogger } from "@logtape/logtape";
import { HomeKeys } from "../../redis/keys.ts";
import { overdue } from "../../redis/dispatch.ts";
import { dispatchesOf, enqueue } from "../../redis/enqueue.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../redis/progress.ts";
import type { SignalId } from "../../domain/ids.ts";
import { crashPoint } from "../crash-point.ts";
import type { Clock } from "../clock.ts";
import { run, type Redis } from "../redis-client.ts";

const GRACE_MS = 200;
const PAUSE_MS = 100;
const LIMIT = 100;

export interface Redispatch {
  readonly home: Redis;
  readonly regions: ReadonlyMap<string, Redis>;
  readonly partition: number;
  readonly clock: Clock;
  readonly stop: AbortSignal;
}

export async function redispatch(parts: Redispatch): Promise<void> {
  const log = getLogger(["fanfare", "dispatch"]).with({ partition: parts.partition });
  const keys = new HomeKeys(parts.partition);
  while (!parts.stop.aborted) {
    try {
      const ids = await run(parts.home, overdue, { home: keys, graceMs: GRACE_MS, limit: LIMIT });
      const results = await Promise.allSettled(ids.map((id) => complete(parts, keys, id)));
      const failed = results.filter(({ status }) => status === "rejected").length;
      if (failed > 0) log.warn("{failed} signals could not be dispatched yet", { failed });
      if (ids.length < LIMIT || failed > 0) await parts.clock.sleep(PAUSE_MS);
    } catch {
      log.warn("the home store does not answer, trying again");
      await parts.clock.sleep(PAUSE_MS);
    }
  }
}

async function complete(
  { home, regions }: Redispatch,
  keys: HomeKeys,
  id: SignalId,
): Promise<void> {
  const fields = await home.send("HMGET", [keys.signal(id), ...STORED_SIGNAL_FIELDS]);
  const stored = parseStoredSignal(fields);
  if (stored) {
    await Promise.all(
      dispatchesOf(stored.signal, stored.routes).map(async (dispatch) => {
        const region = regions.get(dispatch.region);
        if (!region) throw new Error("a route names a region that is not configured");
        crashPoint("before-enqueue");
        const { kind } = await run(region, enqueue, dispatch.enqueue);
        crashPoint("after-enqueue");
        if (kind === "full") throw new Error("a job stream is full");
      }),
    );
  }
  await home.send("ZREM", [keys.undispatched, id]);
}
