/**
 * The outbox: what was recorded and is perhaps not yet in Redis. A document
 * leaves it only at the version that was projected, so a change which came in
 * between stays in.
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
/** Projected in one go; what is more waits for the next, a moment later. */
const LIMIT = 2_000;

interface Changing extends Document {
  readonly version: number;
  readonly outbox: boolean;
}

type Waiting = "channels" | "hooks" | "settings" | "subscriptions";

/** Where each collection continues, so that a person who keeps filling the outbox delays no other. */
export type OutboxPlaces = Map<Waiting, string>;

/** Projects what waits, of each collection at most `LIMIT`; answers how many documents that were. */
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
    // A follower's settings put their subscriptions in here, so these come last.
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

/** Projects a change at once. Where that fails the change still stands, and the follower brings it within a second of Redis' return. */
export async function projectNow(
  records: Records,
  targets: Targets,
  changed: SubscriptionRecord,
): Promise<void> {
  await projectSubscriptions(records, targets, [changed]);
  await markProjected(records.subscriptions, [changed]);
}

/** The same of settings; of a follower's, their subscriptions with them. */
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
    // Ends early, and by a rejection, when stopped.
    if (!isMore) await setTimeout(EVERY_MS, undefined, { signal: stop }).catch(() => {});
  }
}
