/**
 * Follows one fan-out to its end: by the live feed where it gets through, and
 * by asking where it does not. Each round opens the feed, and when that ended
 * before the fan-out did, asks once and begins again.
 */
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { Problem } from "../../../domain/error-codes.ts";
import type { Api } from "../api.ts";
import type { Answer } from "../answer.ts";
import type { Progress } from "../../../domain/copier/progress.ts";

/** The edge tells the state at once; a feed that is silent for longer is held back by something in between. */
const FIRST_EVENT_MS = 3_000;

export interface Follow {
  readonly api: Pick<Api, "feed" | "progress">;
  readonly id: string;
  readonly pauseMs: number;
  readonly stop: AbortSignal;
  onProgress(progress: Progress): void;
  /** The line to the edge was lost, or stands again. */
  onLine(up: boolean): void;
}

/** Resolves when every follower has a known outcome, the edge refuses, or `stop` aborts. */
export async function followFanOut(follow: Follow): Promise<Problem | undefined> {
  const { api, id, stop } = follow;
  let latest: Progress | undefined;

  function take(progress: Progress): void {
    if (stop.aborted) return;
    latest = progress;
    follow.onLine(true);
    follow.onProgress(progress);
  }

  while (!stop.aborted) {
    // A complete fan-out has no feed any more, but its unknowns may still move over.
    if (latest?.status !== "complete") {
      await readFeed(follow, take);
      if (stop.aborted) return undefined;
      if (isOver(latest)) return undefined;
    }
    const answer: Answer<Progress> = await api.progress(id);
    if (stop.aborted) return undefined;
    if (answer.kind === "ok") take(answer.value);
    else if (answer.kind === "problem" && answer.problem.status < 500) return answer.problem;
    else follow.onLine(false);
    if (isOver(latest)) return undefined;
    await pause(follow.pauseMs, stop);
  }
  return undefined;
}

function isOver(progress: Progress | undefined): boolean {
  return progress?.status === "complete" && progress.counts.unknown === 0;
}

async function readFeed(follow: Follow, take: (progress: Progress) => void): Promise<void> {
  const silence = new AbortController();
  const timer = setTimeout(() => {
    silence.abort();
  }, FIRST_EVENT_MS);
  try {
    const stop = AbortSignal.any([follow.stop, silence.signal]);
    const answer = await follow.api.feed(follow.id, stop);
    if (answer.kind !== "ok") return;
    const events = answer.value
      .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
      .pipeThrough(new EventSourceParserStream())
      .getReader();
    for (;;) {
      const { done, value } = await events.read();
      if (done) return;
      clearTimeout(timer);
      if (value.event === "progress" || value.event === "complete") {
        take(JSON.parse(value.data) as Progress);
      }
    }
  } catch {
    // A feed that breaks off is followed by a question; see above.
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done);
  });
}
