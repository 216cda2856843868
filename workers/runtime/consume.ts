/**
 * The one consumer-group loop. Every entry of a stream is handled at least once, so handlers are
 * idempotent. At its start a loop reads the entries that its consumer was delivered and never
 * acknowledged. It reclaims entries that another consumer left idle.
 *
 * One bad entry never delays another. An entry that fails is tried again on its own timer while the
 * loop continues reading. Failures are counted in Redis, and after `MOST_FAILURES` the entry goes
 * to the stream's dead letters with the error's name. A failure of a store or a network is not the
 * entry's fault: it is not counted, and reading pauses until the store answers again.
 */
import { getLogger } from "@logtape/logtape";
import {
  moveToDeadLetters,
  failuresKey,
  noteFailure,
  stillPending,
  trim,
} from "../../redis/streams.ts";
import type { Clock } from "./clock.ts";
import { crashPoint } from "./crash-point.ts";
import { run, type Redis } from "./redis.ts";
import { parseClaimed, parseRead, type Entry } from "./entries.ts";
import { isOutage } from "./outage.ts";
import { nameOf } from "../../http/place.ts";
import { Retries, type Retry } from "./retries.ts";
import type { Slots } from "./slots.ts";

/**
 * The result of an entry: `done` is acknowledged here, `acked` was already acknowledged by the
 * handler's own script, `later` is tried again and does not count as a failure, `dead` goes to the
 * dead letters with its reason.
 */
export type Verdict = "done" | "acked" | "later" | { readonly dead: string };

/** `retried` entries are left pending; `dead` ones went to the dead letters. */
export type EntryResult = "handled" | "retried" | "dead";

export interface Consumption {
  /**
   * Opens a connection for blocking reads: a blocking read stalls its connection, so each loop has
   * its own.
   */
  readonly connect: () => Redis;
  /** For all calls that do not block. */
  readonly redis: Redis;
  readonly stream: string;
  readonly group: string;
  /** The same at each start of the same worker, so that it finds its unfinished entries at once. */
  readonly consumer: string;
  /**
   * Entries for each call of `handle`, and parallel calls. With one call at a time, entries that do
   * not fail keep their order.
   */
  readonly batch: number;
  readonly concurrency: number;
  /**
   * Limits the calls of all loops of this process together; absent: each loop has only its own
   * limit.
   */
  readonly slots?: Slots;
  /** After this long without an acknowledgement another consumer's entry is taken over. */
  readonly reclaimIdleMs: number;
  /**
   * For roles that may lag: after a read that found everything, the loop waits this long before the
   * next, so that entries that arrive meanwhile are handled together. Absent: each entry at once.
   */
  readonly gatherMs?: number;
  /**
   * The groups that must have finished an entry before it is trimmed; absent: this loop does not
   * trim.
   */
  readonly trimBelow?: readonly string[];
  /** One verdict for each entry, in order. A rejection is a failure of all of them. */
  handle(entries: readonly Entry[]): Promise<readonly Verdict[]>;
  /**
   * Called for an entry that failed too often, before it becomes a dead letter, to report its
   * outcomes. `acked` means that the report has acknowledged it. After a rejection it is tried
   * again.
   */
  giveUp?(entry: Entry): Promise<"acked" | undefined>;
  /** Absent: `MOST_FAILURES`. Infinite if an entry must be tried without limit. */
  readonly mostFailures?: number;
  /** Called with the results of entries, as soon as they are known. */
  readonly count?: (result: EntryResult, entries: number) => void;
  readonly clock: Clock;
  readonly stop: AbortSignal;
}

/** With the pauses between them, about five seconds. */
export const MOST_FAILURES = 8;
const BLOCK_MS = 250;
const HOUSEKEEPING_MS = 2_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

/** Resolves once stopped and everything taken is handled or left pending. */
export async function consume(consumption: Consumption): Promise<void> {
  const { redis, stream, group, consumer, batch, concurrency, slots, clock, stop } = consumption;
  const { gatherMs = 0, mostFailures = MOST_FAILURES, count = () => undefined } = consumption;
  const log = getLogger(["fanfare", "consume"]).with({ stream, group });
  const reader = consumption.connect();
  const underWay = new Map<string, Promise<void>>();
  const retries = new Retries();
  let calls = 0;
  let ready = false;
  /**
   * The id from which this consumer's own pending entries are read; undefined once all are known.
   */
  let pendingFrom: string | undefined = "0";
  let housekeptAtMs = 0;
  /**
   * How long to wait for this stream's Redis, or for the handler's store, if it does not answer.
   */
  let readPauseMs = 0;
  let handlePauseMs = 0;

  async function sendToDeadLetters(entry: Entry, reason: string, isAcked = false): Promise<void> {
    log.warn("entry {entry} becomes a dead letter: {reason}", { entry: entry.id, reason });
    await run(redis, moveToDeadLetters, { stream, group, entry: entry.id, reason, isAcked });
    count("dead", 1);
  }

  async function handle(items: readonly Retry[]): Promise<void> {
    const verdicts = await consumption.handle(items.map(({ entry }) => entry));
    const done = items.filter((_, index) => verdicts[index] === "done");
    if (done.length > 0) {
      crashPoint("before-acknowledge");
      await redis.send("XACK", [stream, group, ...done.map(({ entry }) => entry.id)]);
      crashPoint("after-acknowledge");
    }
    for (const [index, item] of items.entries()) {
      const verdict = verdicts[index];
      if (verdict === "later") retries.add(again(item));
      else if (typeof verdict === "object") await sendToDeadLetters(item.entry, verdict.dead);
    }
    count("handled", verdicts.filter((each) => each === "done" || each === "acked").length);
    count("retried", verdicts.filter((each) => each === "later").length);
    const failedBefore = items.filter(({ counted }) => counted).map(({ entry }) => entry.id);
    if (failedBefore.length > 0) {
      const fields = failedBefore.map((id) => `${group} ${id}`);
      await redis.send("HDEL", [failuresKey(stream), ...fields]);
    }
  }

  function again(item: Retry): Retry {
    return { ...item, tries: item.tries + 1, atMs: clock.nowMs() + computePauseMs(item.tries) };
  }

  /**
   * Failed entries are tried again: together if a store did not answer, each alone if it may be one
   * entry's fault.
   */
  async function failed(items: readonly Retry[], error: unknown): Promise<void> {
    // A message may contain a payload, so only the name is logged.
    const name = nameOf(error);
    log.warn("{count} entries failed with {error}", { count: items.length, error: name });
    count("retried", items.length);
    const nowMs = clock.nowMs();
    if (isOutage(error)) {
      handlePauseMs = pauseAfter(handlePauseMs);
      // A Redis that lost its last moments meanwhile has undone acknowledgements without notice.
      pendingFrom = "0";
      for (const item of items) retries.add({ ...item, atMs: nowMs + handlePauseMs });
      return;
    }
    const [only] = items;
    if (only && items.length === 1) await failedAlone(only, name);
    else for (const item of items) retries.add({ ...item, alone: true, atMs: nowMs });
  }

  async function failedAlone(item: Retry, name: string): Promise<void> {
    const { entry } = item;
    const failures = await run(redis, noteFailure, { stream, group, entry: entry.id });
    // Another consumer reclaimed and acknowledged it meanwhile.
    if (failures === 0) return;
    if (failures < mostFailures || !(await giveUp(entry, failures, name))) {
      retries.add({ ...again(item), alone: true, counted: true });
    }
  }

  /** Returns whether the entry is finished. */
  async function giveUp(entry: Entry, failures: number, name: string): Promise<boolean> {
    let isAcked = false;
    try {
      isAcked = (await consumption.giveUp?.(entry)) === "acked";
    } catch (error) {
      log.error("the last report on {entry} failed with {error}", {
        entry: entry.id,
        error: nameOf(error),
      });
      if (isOutage(error) || failures < 2 * mostFailures) return false;
    }
    const reason = `failed ${failures} times, the last time with ${name}`;
    await sendToDeadLetters(entry, reason, isAcked);
    return true;
  }

  function start(items: readonly Retry[]): void {
    calls += 1;
    const attempt = (): Promise<void> =>
      handle(items)
        .then(() => {
          handlePauseMs = 0;
        })
        .catch((error: unknown) => failed(items, error));
    const work = (slots ? slots.hold(attempt) : attempt())
      .catch((error: unknown) => {
        // The failure could not be noted: the entry is still pending, and comes again.
        log.warn("a failure could not be noted: {error}", { error: nameOf(error) });
        pendingFrom = "0";
      })
      .finally(() => {
        calls -= 1;
        for (const { entry } of items) underWay.delete(entry.id);
      });
    for (const { entry } of items) underWay.set(entry.id, work);
  }

  function take(found: readonly Entry[]): void {
    const entries = found.filter(({ id }) => !underWay.has(id) && !retries.has(id));
    for (let from = 0; from < entries.length; from += batch) {
      start(entries.slice(from, from + batch).map((entry) => ({ entry, tries: 0, atMs: 0 })));
    }
  }

  /** Calls that may be started now. */
  const free = (): number => Math.max(Math.min(concurrency - calls, slots?.free ?? concurrency), 0);

  async function keepHouse(): Promise<void> {
    housekeptAtMs = clock.nowMs();
    if (consumption.trimBelow) {
      await run(redis, trim, { stream, groups: consumption.trimBelow });
    }
    const most = Math.max(concurrency - calls, 1) * batch;
    const claim = [String(consumption.reclaimIdleMs), "0-0", "COUNT", String(most)];
    const args = [stream, group, consumer, ...claim];
    const claimed = parseClaimed(await reader.send("XAUTOCLAIM", args));
    if (claimed.length > 0) crashPoint("after-claim");
    take(claimed);
  }

  /** A page of what this consumer was delivered and has not acknowledged. */
  async function readPending(from: string): Promise<void> {
    const count = free() * batch;
    const page = ["GROUP", group, consumer, "COUNT", String(count), "STREAMS", stream, from];
    const found = parseRead(await reader.send("XREADGROUP", page));
    pendingFrom = found.length < count ? undefined : found.at(-1)?.id;
    const gone = found.filter(({ fields }) => fields.size === 0);
    if (gone.length > 0) {
      await redis.send("XACK", [stream, group, ...gone.map(({ id }) => id)]);
    }
    take(found.filter(({ fields }) => fields.size > 0));
  }

  /**
   * Only entries that Redis still has pending: an entry that it lost meanwhile must not be handled
   * from memory.
   */
  async function retry(due: readonly (readonly Retry[])[]): Promise<void> {
    const entries = due.flat().map(({ entry }) => entry.id);
    const ours = new Set(await run(redis, stillPending, { stream, group, consumer, entries }));
    for (const items of due) {
      const left = items.filter(({ entry }) => ours.has(entry.id));
      if (left.length > 0) start(left);
    }
  }

  async function step(): Promise<void> {
    if (!ready) {
      await ensureGroup(reader, stream, group);
      ready = true;
    }
    if (clock.nowMs() - housekeptAtMs > HOUSEKEEPING_MS) await keepHouse();
    if (concurrency - calls <= 0) {
      await Promise.race(underWay.values());
      return;
    }
    if (slots?.free === 0) {
      await slots.freed;
      return;
    }
    // Entries that did not fit are still pending.
    if (retries.hasRoomAgain()) pendingFrom = "0";
    const due = retries.takeDue(clock.nowMs(), free(), batch);
    if (due.length > 0) {
      await retry(due);
      return;
    }
    if (pendingFrom !== undefined) {
      await readPending(pendingFrom);
      return;
    }
    // It reads only as many entries as it can start now; the rest wait in the stream, where another
    // worker may take them.
    const most = free() * batch;
    const blockMs = Math.max(1, retries.dueInMs(clock.nowMs(), BLOCK_MS));
    const read = ["GROUP", group, consumer, "COUNT", String(most), "BLOCK", String(blockMs)];
    const found = parseRead(await reader.send("XREADGROUP", [...read, "STREAMS", stream, ">"]));
    if (found.length > 0) crashPoint("after-delivery");
    take(found);
    if (gatherMs > 0 && found.length > 0 && found.length < most) await clock.sleep(gatherMs);
  }

  while (!stop.aborted) {
    try {
      const pauseMs = Math.max(readPauseMs, handlePauseMs);
      if (pauseMs > 0) await clock.sleep(pauseMs);
      await step();
      readPauseMs = 0;
    } catch (error) {
      // Redis does not answer, or came back without the group.
      log.warn("the stream cannot be read: {error}", { error: nameOf(error) });
      ready = false;
      pendingFrom = "0";
      readPauseMs = pauseAfter(readPauseMs);
    }
  }
  await Promise.all(underWay.values());
  reader.close();
}

function pauseAfter(pauseMs: number): number {
  return Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
}

function computePauseMs(tries: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
}

async function ensureGroup(redis: Redis, stream: string, group: string): Promise<void> {
  try {
    await redis.send("XGROUP", ["CREATE", stream, group, "0", "MKSTREAM"]);
  } catch (error) {
    if (!String((error as Error).message).startsWith("BUSYGROUP")) throw error;
  }
}
