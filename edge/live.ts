/** `GET /v1/signals/:id/live`: the fan-out's progress as server-sent events, until it is complete or a minute is over. */
import { requireScope } from "./bearer.ts";
import type { Edge, EdgeApp } from "./edge.ts";
import { describe } from "./openapi.ts";
import { problemResponse } from "./problems.ts";
import { findSignal } from "./progress.ts";
import { progressFromRecords } from "./records.ts";
import { READ_PROBLEMS, SIGNAL_ID } from "./signals.ts";
import { watchProgress } from "./watch.ts";
import type { Progress } from "../redis/progress.ts";

export function serveLive(app: EdgeApp, edge: Edge): void {
  app.get(
    "/v1/signals/:id/live",
    describe({
      operationId: "watchSignal",
      summary: "Watch a signal's fan-out",
      description:
        "An event `progress` at once and whenever the counts have moved, then one event `complete`. " +
        "The data of both is what `GET /v1/signals/{id}` answers. The stream ends after a minute: connect again to go on.",
      scope: "signals:read",
      parameters: [SIGNAL_ID],
      responses: {
        "200": {
          description: "The events.",
          content: { "text/event-stream": { schema: { type: "string" } } },
        },
      },
      problems: READ_PROBLEMS,
    }),
    requireScope(edge, "signals:read"),
    async (c) => {
      const found = await findSignal(edge, c.var.caller, c.req.param("id"));
      if (!found.ok) return problemResponse(found);
      if (found.value.where === "redis") {
        const left = new AbortController();
        return eventStream(watchProgress(edge, found.value.stored, left.signal), left);
      }
      const response = await progressFromRecords(edge, c.var.caller, found.value.id);
      return response.ok ? eventStream(once((await response.json()) as Progress)) : response;
    },
  );
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
