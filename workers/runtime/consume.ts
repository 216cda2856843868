/**
 * The one consumer-group loop. Every entry of a stream is handled at least
 * once: what a former life of this consumer left is taken up first, what
 * another consumer left idle is reclaimed, and what a handler could not finish
 * is tried again for as long as it takes. Handlers are therefore idempotent.
 */
import { getLogger } from "@logtape/logtape";
import { bury, trim } from "../../redis/streams.ts";
import type { Clock } from "./clock.ts";
import { crashPoint } from "./crash-point.ts";
import { run, type Redis } from "./redis.ts";
import { parseClaimed, parseRead, type Entry } from "./entries.ts";
import type { Slots } from "./slots.ts";

/** What became of an entry: `done` is acknowledged here, `acked` already was by the handler's own script. */
export type Verdict = "done" | "acked" | { readonly dead: string };

export interface Consumption {
  /** Opens a connection for what blocks: a blocking read stalls its connection, so each loop has one of its own. */
  readonly connect: () => Redis;
  /** For everything that does not block. */
  readonly redis: Redis;
  readonly stream: string;
  readonly group: string;
  /** The same at each start of the same worker, so that it finds its own leavings at once. */
  readonly consumer: string;
  /** Entries a call of `handle`, and calls at once. With one call at once, entries keep their order. */
  readonly batch: number;
  readonly concurrency: number;
  /** What bounds the calls of all loops of this process together; absent: nothing but each loop's own. */
  readonly slots?: Slots;
  /** After this long without an acknowledgement another consumer's entry is taken over. */
  readonly reclaimIdleMs: number;
  /**
   * For roles that follow behind: after a read that found all there was, this long passes before
   * the next, so that what arrives meanwhile is handled in one go. Absent: each entry at once.
   */
  readonly gatherMs?: number;
  /** The groups that must be through with an entry before it is trimmed; absent: this loop does not trim. */
  readonly trimBelow?: readonly string[];
  /** One verdict an entry, in their order. A rejection leaves all of them for another try. */
  handle(entries: readonly Entry[]): Promise<readonly Verdict[]>;
  readonly clock: Clock;
  readonly stop: AbortSignal;
}

const BLOCK_MS = 250;
const HOUSEKEEPING_MS = 2_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

/** Resolves once stopped and everything taken is handled or left pending. */
export async function consume(consumption: Consumption): Promise<void> {
  const { redis, stream, group, consumer, batch, concurrency, slots, clock, stop } = consumption;
  const { gatherMs = 0 } = consumption;
  const log = getLogger(["fanfare", "consume"]).with({ stream, group });
  const reader = consumption.connect();
  const underWay = new Map<string, Promise<void>>();
  let calls = 0;
  let pauseMs = 0;
  let ready = false;
  let leavings = true;
  let housekeptAtMs = 0;

  async function settle(entries: readonly Entry[]): Promise<void> {
    const verdicts = await consumption.handle(entries);
    const done = entries.filter((_, index) => verdicts[index] === "done").map(({ id }) => id);
    if (done.length > 0) {
      crashPoint("before-acknowledge");
      await redis.send("XACK", [stream, group, ...done]);
      crashPoint("after-acknowledge");
    }
    for (const [index, verdict] of verdicts.entries()) {
      const entry = entries[index];
      if (entry === undefined || typeof verdict === "string" || verdict === undefined) continue;
      log.warn("entry {entry} buried: {reason}", { entry: entry.id, reason: verdict.dead });
      crashPoint("before-bury");
      await run(redis, bury, { stream, group, entry: entry.id, reason: verdict.dead });
      crashPoint("after-bury");
    }
  }

  function take(found: readonly Entry[]): void {
    const entries = found.filter(({ id }) => !underWay.has(id));
    for (let start = 0; start < entries.length; start += batch) {
      const slice = entries.slice(start, start + batch);
      calls += 1;
      const work = (slots ? slots.hold(() => settle(slice)) : settle(slice))
        .then(() => {
          pauseMs = 0;
        })
        .catch(() => {
          // The reason may hold a payload, so only the fact is logged; the entries stay pending.
          leavings = true;
          pauseMs = Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
          log.warn("{count} entries could not be handled, trying again", { count: slice.length });
        })
        .finally(() => {
          calls -= 1;
          for (const { id } of slice) underWay.delete(id);
        });
      for (const { id } of slice) underWay.set(id, work);
    }
  }

  async function step(): Promise<void> {
    if (!ready) {
      await ensureGroup(reader, stream, group);
      ready = true;
    }
    if (clock.nowMs() - housekeptAtMs > HOUSEKEEPING_MS) {
      housekeptAtMs = clock.nowMs();
      if (consumption.trimBelow) {
        crashPoint("before-trim");
        await run(redis, trim, { stream, groups: consumption.trimBelow });
        crashPoint("after-trim");
      }
      const most = Math.max(concurrency - calls, 1) * batch;
      const claim = [String(consumption.reclaimIdleMs), "0-0", "COUNT", String(most)];
      const args = [stream, group, consumer, ...claim];
      const claimed = parseClaimed(await reader.send("XAUTOCLAIM", args));
      if (claimed.length > 0) crashPoint("after-claim");
      take(claimed);
    }
    const ownFree = Math.max(concurrency - calls, 0);
    if (ownFree === 0) {
      await Promise.race(underWay.values());
      return;
    }
    if (slots?.free === 0) {
      await slots.freed;
      return;
    }
    // Read is what can be started now; what is more waits in the stream, where another worker may take it.
    const free = Math.min(ownFree, slots?.free ?? ownFree) * batch;
    const read = ["GROUP", group, consumer, "COUNT", String(free)];
    if (leavings && underWay.size === 0) {
      const left = parseRead(await reader.send("XREADGROUP", [...read, "STREAMS", stream, "0"]));
      leavings = left.length >= free;
      // Nothing is to be tried again, so whoever comes next is not kept waiting for what once failed.
      if (left.length === 0) pauseMs = 0;
      const gone = left.filter(({ fields }) => fields.size === 0);
      if (gone.length > 0) {
        await redis.send("XACK", [stream, group, ...gone.map(({ id }) => id)]);
      }
      take(left.filter(({ fields }) => fields.size > 0));
      return;
    }
    const block = ["BLOCK", String(BLOCK_MS), "STREAMS", stream, ">"];
    const found = parseRead(await reader.send("XREADGROUP", [...read, ...block]));
    if (found.length > 0) crashPoint("after-delivery");
    take(found);
    if (gatherMs > 0 && found.length > 0 && found.length < free) await clock.sleep(gatherMs);
  }

  while (!stop.aborted) {
    try {
      if (pauseMs > 0) {
        await clock.sleep(pauseMs);
        // A Redis that lost its last moments meanwhile has taken acknowledgements back, and nobody was told.
        leavings = true;
      }
      await step();
    } catch {
      // Redis is away, or came back without the group. What it delivered meanwhile is among our leavings.
      ready = false;
      leavings = true;
      pauseMs = Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    }
  }
  await Promise.all(underWay.values());
  reader.close();
}

async function ensureGroup(redis: Redis, stream: string, group: string): Promise<void> {
  try {
    await redis.send("XGROUP", ["CREATE", stream, group, "0", "MKSTREAM"]);
  } catch (error) {
    if (!String((error as Error).message).startsWith("BUSYGROUP")) throw error;
  }
}
