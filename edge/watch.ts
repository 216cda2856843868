/**
 * A signal's progress while it changes. A published message is only a wake-up: the progress is read
 * from Redis each time, and once a second in case a wake-up was lost.
 */
import { liveChannel } from "../redis/keys.ts";
import type { Progress } from "../domain/copier/progress.ts";
import type { StoredSignal } from "../redis/progress.ts";
import type { Edge } from "./edge.ts";
import { readProgress } from "./progress.ts";

export const WATCH_MS = 60_000;
const REREAD_MS = 1_000;
/** Progress is read no faster than this, however fast the outcomes come in. */
const LEAST_MS_BETWEEN_READS = 50;

/**
 * Yields the progress at once and whenever it has changed, and ends when it is complete, after a
 * minute, or when stopped. `listening: false` uses no subscriptions and only polls each second.
 */
export async function* watchProgress(
  edge: Edge,
  stored: StoredSignal,
  stopped: AbortSignal,
  { listening = true } = {},
): AsyncGenerator<Progress, void, void> {
  const endsAtMs = edge.clock() + WATCH_MS;
  const ended = new AbortController();
  const stop = AbortSignal.any([stopped, edge.stop, ended.signal]);
  const bell = newBell(stop);
  if (listening) {
    for (const region of new Set(stored.routes.map((each) => each.region))) {
      void edge.regions.get(region)?.listen(liveChannel(stored.signal.id), stop, bell.ring);
    }
  }
  let last = "";
  try {
    while (!stop.aborted && edge.clock() < endsAtMs) {
      bell.still();
      const progress = await readProgress(edge, stored);
      const text = progress.ok ? JSON.stringify(progress.value) : last;
      if (progress.ok && text !== last) {
        last = text;
        yield progress.value;
        if (progress.value.status === "complete") return;
      }
      await Promise.all([bell.rung(REREAD_MS), wait(LEAST_MS_BETWEEN_READS)]);
    }
  } finally {
    ended.abort();
  }
}

/** Remembers a wake-up that comes before anything waits for it. */
function newBell(stop: AbortSignal) {
  let rang = false;
  let wakeUp: (() => void) | undefined;
  const ring = (): void => {
    rang = true;
    wakeUp?.();
  };
  stop.addEventListener("abort", ring, { once: true });
  return {
    ring,
    still(): void {
      rang = false;
    },
    async rung(timeoutMs: number): Promise<void> {
      if (rang || stop.aborted) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wakeUp = undefined;
    },
  };
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
