/** The records API: everything about the platform that is not a signal on its way. */
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import { generateSpecs } from "hono-openapi";
import type { Api } from "./api.ts";
import { serveChannels } from "./channels.ts";
import { reply, serveAnyone } from "./operation.ts";
import { problemResponse } from "./problems.ts";
import { failure } from "../../domain/result.ts";
import { DocumentAnswer, HealthAnswer } from "./schemas.ts";
import { serveSessions } from "./sessions.ts";
import { serveSettings } from "./settings.ts";
import { serveSignals } from "./signals.ts";
import { serveSubscriptions } from "./subscriptions.ts";

export function createApp(api: Api): Hono {
  const app = new Hono();
  app.onError((error) => {
    // Whatever the records' driver says may hold what a caller sent; its kind does not.
    getLogger(["fanfare", "records"]).error("a request failed: {error}", { error: error.name });
    const ours = error instanceof TypeError || error instanceof ReferenceError;
    return problemResponse(failure(ours ? "INTERNAL" : "RECORDS_UNAVAILABLE"));
  });
  serveSessions(app, api);
  serveChannels(app, api);
  serveSubscriptions(app, api);
  serveSettings(app, api);
  serveSignals(app, api);
  serveAbout(app);
  refuseOtherMethods(app);
  app.notFound(() => problemResponse(failure("ROUTE_UNKNOWN")));
  return app;
}

function serveAbout(app: Hono): void {
  serveAnyone(
    app,
    {
      method: "GET",
      path: "/healthz",
      operationId: "readRecordsHealth",
      summary: "Whether the records API serves",
      answers: { 200: ["It does.", HealthAnswer] },
      problems: [],
    },
    async () => reply({ status: "ok" }),
  );
  serveAnyone(
    app,
    {
      method: "GET",
      path: "/openapi.json",
      operationId: "readRecordsDocument",
      summary: "This document",
      answers: { 200: ["OpenAPI 3.1.", DocumentAnswer] },
      problems: [],
    },
    async () => reply(await documentOf(app)),
  );
}

async function documentOf(app: Hono): Promise<object> {
  return await generateSpecs(app, {
    // It would take `/openapi.json` for a file.
    excludeStaticFile: false,
    documentation: {
      openapi: "3.1.0",
      info: { title: "Fanfare records", version: "1" },
      components: {
        securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      },
    },
  });
}

/** Every address refuses the methods that it does not take, and names those that it does. */
function refuseOtherMethods(app: Hono): void {
  const methods = new Map<string, Set<string>>();
  for (const { method, path } of app.routes) {
    const taken = methods.get(path) ?? new Set();
    methods.set(path, taken.add(method));
    if (method === "GET") taken.add("HEAD");
  }
  for (const [path, taken] of methods) {
    const allow = [...taken].join(", ");
    app.all(path, () => problemResponse(failure("METHOD_NOT_ALLOWED"), { allow }));
  }
}
