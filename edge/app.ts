/**
 * The edge: authenticate, validate, accept, dispatch. Everything that is not a
 * signal goes on to the records API or is a file of the page.
 */
import { Hono } from "hono";
import { problemResponse } from "./problems.ts";
import type { Edge, EdgeApp, EdgeHono } from "./edge.ts";
import { serveDesk } from "./desk/desk.ts";
import { serveHooks } from "./hooks/hooks.ts";
import { serveLive } from "./live.ts";
import { log } from "./log.ts";
import { describe, jsonOf, openApiDocument } from "./openapi.ts";
import { SAFE_HEADERS, servePage, type PageFiles } from "./page.ts";
import { forwardToRecords } from "./records.ts";
import { failure } from "../domain/result.ts";
import { HealthAnswer } from "./schemas.ts";
import { serveSignals } from "./signals.ts";
import { serveSocket, type Upgrade } from "./socket.ts";

export interface RuntimeParts {
  readonly upgrade: Upgrade;
  readonly pageFiles?: PageFiles | undefined;
}

const SOCKETS: ReadonlySet<string> = new Set(["/v1/ws", "/v1/desk/ws"]);
const RECORDS_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

export function createApp(edge: Edge, { upgrade, pageFiles }: RuntimeParts): EdgeApp {
  const app = new Hono<EdgeHono>();

  app.use(async (c, next) => {
    await next();
    // A response that hands over a socket must leave as the runtime made it.
    if (SOCKETS.has(c.req.path)) return;
    for (const [name, value] of Object.entries(SAFE_HEADERS)) c.res.headers.set(name, value);
    if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  });
  app.onError((error) => {
    // Its message may hold what a caller sent; its name and place do not.
    log.error("a request failed", { error: error.name, at: placeOf(error) });
    return problemResponse(failure("INTERNAL"));
  });

  serveSignals(app, edge);
  serveLive(app, edge);
  serveSocket(app, edge, upgrade);
  serveHooks(app, edge);
  serveDesk(app, edge, upgrade);
  serveAbout(app, edge);
  // The list of signals is the records', at the address where a signal is sent.
  app.get("/v1/signals", (c) => forwardToRecords(edge, c.req.raw));
  refuseOtherMethods(app);

  app.all("/v1/*", (c) =>
    RECORDS_METHODS.includes(c.req.method)
      ? forwardToRecords(edge, c.req.raw)
      : methodNotAllowed(RECORDS_METHODS),
  );
  app.notFound(async (c) => {
    const reading = c.req.method === "GET" || c.req.method === "HEAD";
    const page =
      reading && pageFiles && !c.req.path.startsWith("/hooks")
        ? await servePage(pageFiles, c.req.path, c.req.header("accept") ?? "")
        : undefined;
    return page ?? problemResponse(failure("ROUTE_UNKNOWN"));
  });
  return app;
}

function serveAbout(app: EdgeApp, edge: Edge): void {
  app.get(
    "/healthz",
    describe({
      operationId: "readHealth",
      summary: "Whether the edge serves",
      responses: { "200": { description: "It does.", content: jsonOf(HealthAnswer) } },
      problems: [],
    }),
    (c) => c.json({ status: "ok" }),
  );
  app.get(
    "/openapi.json",
    describe({
      operationId: "readDocument",
      summary: "This document",
      responses: {
        "200": {
          description: "OpenAPI 3.1.",
          content: { "application/json": { schema: { type: "object" } } },
        },
      },
      problems: [],
    }),
    async (c) => c.json((await openApiDocument(app, edge.recordsUrl)) as object),
  );
}

/** Every address served so far refuses the methods that it does not take, and names those that it does. */
function refuseOtherMethods(app: EdgeApp): void {
  const methods = new Map<string, Set<string>>();
  for (const { method, path } of app.routes) {
    if (method === "ALL") continue;
    const taken = methods.get(path) ?? new Set();
    methods.set(path, taken.add(method));
    if (method === "GET") taken.add("HEAD");
  }
  for (const [path, taken] of methods) app.all(path, () => methodNotAllowed([...taken]));
}

function methodNotAllowed(methods: readonly string[]): Response {
  return problemResponse(failure("METHOD_NOT_ALLOWED"), { allow: methods.join(", ") });
}

/** The first line of a stack that names a file of ours. */
function placeOf(error: Error): string | undefined {
  return /\(?((?:edge|redis|domain)\/[\w./-]+:\d+)/.exec(error.stack ?? "")?.[1];
}
