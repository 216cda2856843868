/**
 * Completes what an edge began: every accepted signal that some region has not
 * confirmed is dispatched again. Enqueueing is idempotent, so this does no harm if
 * the edge was only slow. If many signals wait for a region that is away, they are
 * tried in rotation: each pass continues after the one before, and also tries the
 * newest, which may still be in time.
 */
import { getLogger } from "@logtape/logtape";
import { HomeKeys } from "../../../redis/keys.ts";
import { overdue } from "./undispatched.ts";
import { dispatchesOf, enqueue, type EnqueueReply } from "../../../redis/enqueue.ts";
import { closeDispatchesOf, enqueueClose } from "../../../redis/enqueue-close.ts";
import {
  parseStoredSignal,
  STORED_SIGNAL_FIELDS,
  type StoredSignal,
} from "../../../redis/progress.ts";
import type { Script } from "../../../redis/script.ts";
import type { SignalId } from "../../../domain/ids.ts";
import { nameOf } from "../../../http/place.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import type { Clock } from "../../runtime/clock.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { Reach } from "./reach.ts";

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
  const { home, partition, clock, stop } = parts;
  const log = getLogger(["fanfare", "dispatch"]).with({ partition });
  const keys = new HomeKeys(partition);
  const reach = new Reach(clock);
  let skip = 0;
  while (!stop.aborted) {
    try {
      const which = { home: keys, graceMs: GRACE_MS, skip, limit: LIMIT };
      const { oldest, newest } = await run(home, overdue, which);
      const ids = [...new Set([...oldest, ...newest])];
      const results = await Promise.allSettled(
        ids.map((id) => complete({ ...parts, reach }, keys, id)),
      );
      const left = results.map(({ status }) => status === "rejected");
      const failed = left.filter(Boolean).length;
      if (failed > 0) log.warn("{failed} signals could not be dispatched yet", { failed });
      // Completed signals have left the set, so they must not be counted as skipped.
      skip = oldest.length < LIMIT ? 0 : skip + left.slice(0, oldest.length).filter(Boolean).length;
      if (oldest.length < LIMIT || failed > 0) await clock.sleep(PAUSE_MS);
    } catch (error) {
      log.warn("the home store does not answer, trying again: {error}", { error: nameOf(error) });
      await clock.sleep(PAUSE_MS);
    }
  }
}

/**
 * Dispatches one accepted signal; parts that are already dispatched do not change.
 * Rejects if a region does not confirm.
 */
export async function complete(
  { home, regions, reach }: Pick<Redispatch, "home" | "regions"> & { readonly reach: Reach },
  keys: HomeKeys,
  id: SignalId,
): Promise<void> {
  const stored = await readStored(home, keys, id);
  if (stored?.signal.action === "close") {
    const { closes } = stored.signal;
    const closed = await Promise.all(closes.map((each) => readStored(home, keys, each)));
    const known = closed.filter((each) => each !== undefined);
    await enqueueAll(regions, reach, enqueueClose, closeDispatchesOf(stored.signal, known));
  } else if (stored) {
    await enqueueAll(regions, reach, enqueue, dispatchesOf(stored.signal, stored.routes));
  }
  crashPoint("before-confirm");
  await home.send("ZREM", [keys.undispatched, id]);
  crashPoint("after-confirm");
}

async function readStored(
  home: Redis,
  keys: HomeKeys,
  id: SignalId,
): Promise<StoredSignal | undefined> {
  return parseStoredSignal(await home.send("HMGET", [keys.signal(id), ...STORED_SIGNAL_FIELDS]));
}

async function enqueueAll<Args>(
  regions: Redispatch["regions"],
  reach: Reach,
  script: Script<Args, EnqueueReply>,
  dispatches: readonly { readonly region: string; readonly enqueue: Args }[],
): Promise<void> {
  const enqueued = await Promise.allSettled(
    dispatches.map(async (dispatch) => {
      const region = regions.get(dispatch.region);
      if (!region) throw new Error("a route names a region that is not configured");
      const { kind } = await reach.call(dispatch.region, () =>
        run(region, script, dispatch.enqueue),
      );
      if (kind !== "enqueued") throw new Error("a region takes no jobs now");
    }),
  );
  // If one region is away, the signal stays listed, and the other regions still get their jobs.
  if (enqueued.some(({ status }) => status === "rejected"))
    throw new Error("not all have their jobs");
}
