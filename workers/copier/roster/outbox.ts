/**
 * The outbox: documents that are recorded and perhaps not yet in Redis. A document
 * leaves it only if its version is still the one that was projected. If it changed
 * meanwhile, it stays in.
 */
import { setTimeout } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import { chunks } from "../../records/chunks.ts";
import {
  afterId,
  type Collection,
  type Document,
  type Part,
  type Records,
  type SettingsRecord,
  type SubscriptionRecord,
} from "../../records/port.ts";
import { nameOf } from "../../../http/place.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { projectChannels, projectHooks, projectSubscriptions, type Targets } from "./projector.ts";
import { followerOf, projectSettings } from "./settings.ts";

const EVERY_MS = 500;
/** Projected at once. The rest is projected a moment later. */
const LIMIT = 2_000;

interface Changing extends Document {
  readonly version: number;
  readonly outbox: boolean;
}

type Waiting = "channels" | "hooks" | "settings" | "subscriptions";

/**
 * Where each collection continues. If one person adds to the outbox without end,
 * the others are not delayed.
 */
export type OutboxPlaces = Map<Waiting, string>;

/**
 * Projects the waiting documents, at most `LIMIT` of each collection. Returns how
 * many there were.
 */
export async function flushOutbox(
  records: Records,
  targets: Targets,
  places: OutboxPlaces = new Map(),
): Promise<number> {
  async function flush<T extends Changing>(
    name: Waiting,
    collection: Collection<T>,
    project: (waiting: readonly T[]) => Promise<number>,
  ): Promise<number> {
    const after = afterId(places.get(name));
    const waiting = await collection.find({ where: { outbox: true }, limit: LIMIT, after });
    if (waiting.length > 0) {
      await project(waiting);
      await markProjected(collection, waiting);
    }
    const last = waiting.at(-1);
    if (last && waiting.length === LIMIT) places.set(name, last._id);
    else places.delete(name);
    return waiting.length;
  }

  const { channels, hooks, settings, subscriptions } = records;
  const flushed = [
    await flush("channels", channels, (waiting) => projectChannels(targets, waiting)),
    await flush("hooks", hooks, (waiting) => projectHooks(targets, waiting)),
    // A follower's settings add their subscriptions to the outbox, so subscriptions come last.
    await flush("settings", settings, (waiting) => projectSettings(records, targets, waiting)),
    await flush("subscriptions", subscriptions, (waiting) =>
      projectSubscriptions(records, targets, waiting),
    ),
  ];
  return flushed.reduce((sum, each) => sum + each, 0);
}

export async function markProjected<T extends Changing>(
  collection: Collection<T>,
  documents: readonly T[],
): Promise<void> {
  crashPoint("before-mark");
  await collection.mergeAtVersion(
    documents.map(
      ({ _id, version }) =>
        ({ _id, version, outbox: false }) as unknown as Part<T> & { readonly version: number },
    ),
  );
  crashPoint("after-mark");
}

/**
 * Projects a change at once. If that fails, the change is still recorded, and
 * `followOutbox` projects it within a second after Redis is back.
 */
export async function projectNow(
  records: Records,
  targets: Targets,
  changed: SubscriptionRecord,
): Promise<void> {
  await projectSubscriptions(records, targets, [changed]);
  await markProjected(records.subscriptions, [changed]);
}

/**
 * The same for settings. If they are a follower's, it also projects the
 * subscriptions of that follower.
 */
export async function projectSettingsNow(
  records: Records,
  targets: Targets,
  changed: SettingsRecord,
): Promise<void> {
  await projectSettings(records, targets, [changed]);
  await markProjected(records.settings, [changed]);
  const follower = followerOf(changed._id);
  if (follower === undefined) return;
  for await (const some of chunks(records.subscriptions.each({ follower, outbox: true }))) {
    await projectSubscriptions(records, targets, some);
    await markProjected(records.subscriptions, some);
  }
}

/** Follows the outbox until stopped. */
export async function followOutbox(
  records: Records,
  targets: Targets,
  stop: AbortSignal,
): Promise<void> {
  const log = getLogger(["fanfare", "roster"]);
  const places: OutboxPlaces = new Map();
  while (!stop.aborted) {
    let isMore = false;
    try {
      await flushOutbox(records, targets, places);
      isMore = places.size > 0;
    } catch (error) {
      log.warn("the outbox could not be projected, trying again: {error}", {
        error: nameOf(error),
      });
    }
    // Ends early, with a rejection, when stopped.
    if (!isMore) await setTimeout(EVERY_MS, undefined, { signal: stop }).catch(() => {});
  }
}
