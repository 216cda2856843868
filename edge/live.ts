/**
 * `GET /v1/signals/:id/live`: the fan-out's progress as server-sent events, until it is complete or
 * a minute has passed.
 */
import * as v from "valibot";
import type { Progress } from "../domain/copier/progress.ts";
import type { Edge, EdgeService } from "./edge.ts";
import { findSignal } from "./progress.ts";
import { progressFromRecords } from "./records.ts";
import { READ_PROBLEMS, SIGNAL_ID } from "./signals.ts";
import { watchProgress } from "./watch.ts";

export function serveLive(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "GET",
    path: "/v1/signals/:id/live",
    operationId: "watchSignal",
    summary: "Watch a signal's fan-out",
    description:
      "An event `progress` at once and whenever the counts have changed, then one event `complete`. " +
      "The data of both is the answer of `GET /v1/signals/{id}`. The stream ends after a minute: connect again to continue.",
    permission: "signals:read",
    params: { id: SIGNAL_ID },
    answers: { 200: { description: "The events.", content: { "text/event-stream": v.string() } } },
    problems: READ_PROBLEMS,
    async handle({ params, caller }) {
      const found = await findSignal(edge, caller, params.id);
      if (!found.ok) return found;
      if (found.value.where === "redis") {
        const left = new AbortController();
        return eventStream(watchProgress(edge, found.value.stored, left.signal), left);
      }
      const response = await progressFromRecords(edge, caller, found.value.id);
      return response.ok ? eventStream(once((await response.json()) as Progress)) : response;
    },
  });
}

async function* once(progress: Progress): AsyncGenerator<Progress, void, void> {
  yield Promise.resolve(progress);
}

function eventStream(
  progresses: AsyncGenerator<Progress, void, void>,
  left = new AbortController(),
): Response {
  const encoder = new TextEncoder();
  const events = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await progresses.next();
      if (next.done) {
        controller.close();
        return;
      }
      const data = JSON.stringify(next.value);
      controller.enqueue(encoder.encode(`event: progress\ndata: ${data}\n\n`));
      if (next.value.status === "complete") {
        controller.enqueue(encoder.encode(`event: complete\ndata: ${data}\n\n`));
      }
    },
    cancel() {
      left.abort();
    },
  });
  return new Response(events, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
