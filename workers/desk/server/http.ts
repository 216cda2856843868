/**
 * The desk's HTTP interface. It has no state: any desk server answers any call. After a
 * 503, or the 500 of a bug, the call may have taken effect or not. Sending it again with
 * the same ids is always safe.
 */
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import * as v from "valibot";
import { reply } from "../../../http/operation.ts";
import { Service } from "../../../http/service.ts";
import { isOutage } from "../../runtime/outage.ts";
import { serveAccounts } from "./accounts.ts";
import { serveCommands } from "./commands-http.ts";
import { serveCommandSocket } from "./commands-socket.ts";
import { serveContracts } from "./contracts-http.ts";
import { serveEvents } from "./events.ts";
import { serveLog } from "./log.ts";
import type { Desk, DeskService } from "./service.ts";
import { serveSettlements } from "./settlements.ts";
import { tokenVerifier } from "./token.ts";

const logger = getLogger(["fanfare", "desk"]);

export function deskApp(desk: Desk): Hono {
  const service: DeskService = new Service({
    info: { title: "Fanfare desk server", version: "1" },
    verify: tokenVerifier(desk.token),
    bearer: {
      description: "The desk's own token, `FANFARE_DESK_TOKEN`, which allows everything here.",
      problems: ["TOKEN_MISSING", "TOKEN_INVALID"],
    },
    codeOf: (error) => (isOutage(error) ? "STORE_UNAVAILABLE" : undefined),
    onFailure(code, { name, at }) {
      // A store that is away is no bug, and every open request would log it.
      if (code === "INTERNAL") logger.error("a request failed", { error: name, at });
    },
    problems: ["STORE_UNAVAILABLE"],
  });
  serveContracts(service, desk);
  serveAccounts(service, desk);
  serveSettlements(service, desk);
  serveCommands(service, desk);
  serveCommandSocket(service);
  serveEvents(service, desk);
  serveLog(service, desk);
  serveAbout(service, desk);
  service.refuseOtherMethods();
  return service.app;
}

function serveAbout(service: DeskService, { redis }: Desk): void {
  service.serve({
    method: "GET",
    path: "/healthz",
    operationId: "readDeskHealth",
    summary: "Whether the desk server reaches its store",
    answers: { 200: { description: "It does.", body: v.object({ status: v.literal("ok") }) } },
    problems: [],
    async handle() {
      await redis.send("PING", []);
      return reply({ status: "ok" });
    },
  });

  service.serve({
    method: "GET",
    path: "/openapi.json",
    operationId: "readDeskDocument",
    summary: "This document",
    answers: {
      200: { description: "OpenAPI 3.1.", body: v.looseObject({ openapi: v.string() }) },
    },
    problems: [],
    handle: () => reply(service.document()),
  });
}
