/**
 * The work in progress when a process is asked to end: requests, and the dispatches beside them.
 */
import type { ExecutionContext } from "hono";
import { nameOf, placeOf } from "../http/place.ts";
import { log } from "./log.ts";

export interface Tasks {
  /** What Hono passes to a handler for work that outlives its answer. */
  readonly context: ExecutionContext;
  track<T>(task: T | Promise<T>): T | Promise<T>;
  /** Resolves once nothing is in progress, or when the time is over. */
  settled(timeoutMs: number): Promise<void>;
}

export function newTasks(): Tasks {
  const underWay = new Set<Promise<unknown>>();
  function track<T>(task: T | Promise<T>): T | Promise<T> {
    if (!(task instanceof Promise)) return task;
    const ended = task
      .catch((error: unknown) => {
        log.error("a task failed", { error: nameOf(error), at: placeOf(error) });
      })
      .finally(() => underWay.delete(ended));
    underWay.add(ended);
    return task;
  }
  return {
    track,
    context: {
      waitUntil: (task: Promise<unknown>) => void track(task),
      passThroughOnException: ignore,
      props: undefined,
    },
    async settled(timeoutMs) {
      const overtime = new Promise((resolve) => setTimeout(resolve, timeoutMs));
      // Finished work may have started new work.
      const all = async (): Promise<void> => {
        while (underWay.size > 0) await Promise.allSettled(underWay);
      };
      await Promise.race([all(), overtime]);
    },
  };
}

function ignore(): void {
  // Nothing to do.
}
