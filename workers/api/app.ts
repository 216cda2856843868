/** The records API: everything except signals in progress. */
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import * as v from "valibot";
import { reply } from "../../http/operation.ts";
import { Service } from "../../http/service.ts";
import { isRecordsFailure } from "../records/failure.ts";
import type { Api, RecordsService } from "./api.ts";
import { serveChannels } from "./channels.ts";
import { serveSessions } from "./sessions.ts";
import { serveSettings } from "./settings.ts";
import { serveSignals } from "./signals.ts";
import { serveStops } from "./stops.ts";
import { serveSubscriptions } from "./subscriptions.ts";

export function createApp(api: Api): Hono {
  const service: RecordsService = new Service({
    info: { title: "Fanfare records", version: "1" },
    verify: (token) => api.tokens.verify(token),
    codeOf: (error) => (isRecordsFailure(error) ? "RECORDS_UNAVAILABLE" : undefined),
    onFailure(code, { name, at }) {
      getLogger(["fanfare", "records"]).error("a request failed as {code}: {error} at {at}", {
        code,
        error: name,
        at,
      });
    },
    // The edge may answer BODY_TOO_LARGE for every request, also for one without a body.
    problems: ["RECORDS_UNAVAILABLE", "BODY_TOO_LARGE"],
  });
  serveSessions(service, api);
  serveChannels(service, api);
  serveSubscriptions(service, api);
  serveSettings(service, api);
  serveStops(service, api);
  serveSignals(service, api);
  serveAbout(service);
  service.refuseOtherMethods();
  return service.app;
}

function serveAbout(service: RecordsService): void {
  service.serve({
    method: "GET",
    path: "/healthz",
    operationId: "readRecordsHealth",
    summary: "Whether the records API serves",
    answers: {
      200: { description: "The records API serves.", body: v.object({ status: v.literal("ok") }) },
    },
    problems: [],
    handle: () => reply({ status: "ok" }),
  });

  service.serve({
    method: "GET",
    path: "/openapi.json",
    operationId: "readRecordsDocument",
    summary: "This document",
    answers: {
      200: { description: "OpenAPI 3.1.", body: v.looseObject({ openapi: v.string() }) },
    },
    problems: [],
    handle: () => reply(service.document()),
  });
}
