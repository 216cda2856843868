/**
 * The edge: authenticate, validate, accept, dispatch. Every other request is forwarded to the
 * records API or served from the page's files.
 */
import type { Hono } from "hono";
import * as v from "valibot";
import { failure } from "../domain/result.ts";
import { reply } from "../http/operation.ts";
import { problemResponse } from "../http/problem.ts";
import { methodNotAllowed, Service } from "../http/service.ts";
import { serveDesk } from "./desk/desk.ts";
import { documentsWith } from "./document.ts";
import type { Edge, EdgeService } from "./edge.ts";
import { serveHooks } from "./hooks/hooks.ts";
import { serveLive } from "./live.ts";
import { log } from "./log.ts";
import { SAFE_HEADERS, servePage, type PageFiles } from "./page.ts";
import { forwardToRecords } from "./records.ts";
import { serveSignals } from "./signals.ts";
import { serveSocket, type Upgrade } from "./socket.ts";

export interface RuntimeParts {
  readonly upgrade: Upgrade;
  readonly pageFiles?: PageFiles | undefined;
}

const SOCKETS: ReadonlySet<string> = new Set(["/v1/ws", "/v1/desk/ws"]);
const RECORDS_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

export function createApp(edge: Edge, { upgrade, pageFiles }: RuntimeParts): Hono {
  const service: EdgeService = new Service({
    info: {
      title: "Fanfare",
      version: "1",
      description:
        "One signal in, every follower's order out, each exactly once or provably not at all.",
    },
    verify: (token) => edge.verifyToken(token, edge.clock()),
    onFailure(code, { name, at }) {
      log.error("a request failed", { code, error: name, at });
    },
  });
  const { app } = service;

  app.use(async (c, next) => {
    await next();
    // A response that upgrades to a socket must be returned unchanged.
    if (SOCKETS.has(c.req.path)) return;
    for (const [name, value] of Object.entries(SAFE_HEADERS)) c.res.headers.set(name, value);
    if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  });

  serveSignals(service, edge);
  serveLive(service, edge);
  serveSocket(service, edge, upgrade);
  serveHooks(service, edge);
  serveDesk(service, edge, upgrade);
  serveAbout(service, edge);
  // The records API answers the list of signals, at the same address where a signal is sent.
  app.get("/v1/signals", (c) => forwardToRecords(edge, c.req.raw));
  service.refuseOtherMethods();

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

function serveAbout(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "GET",
    path: "/healthz",
    operationId: "readHealth",
    summary: "Whether the edge serves",
    answers: {
      200: { description: "The edge serves.", body: v.object({ status: v.literal("ok") }) },
    },
    problems: [],
    handle: () => reply({ status: "ok" }),
  });

  const documents = documentsWith(edge.recordsUrl, edge.clock);
  service.serve({
    method: "GET",
    path: "/openapi.json",
    operationId: "readDocument",
    summary: "This document",
    answers: {
      200: { description: "OpenAPI 3.1.", body: v.looseObject({ openapi: v.string() }) },
    },
    problems: [],
    handle: async () => reply(await documents(service.document())),
  });
}
