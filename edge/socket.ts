/**
 * `GET /v1/ws`: the same signal as a message, answered with its acceptance and
 * then its live progress.
 */
import type { Context } from "hono";
import { failure, type Result } from "../domain/result.ts";
import { parseBearer } from "../http/bearer.ts";
import { problemResponse } from "../http/problem.ts";
import type { Edge, EdgeService } from "./edge.ts";
import { openSession, type SocketEvents } from "./socket-session.ts";
import type { Caller } from "./tokens.ts";

/** Upgrades a request by the runtime's own method; throws if the handshake is wrong. */
export type Upgrade = (c: Context, events: SocketEvents) => Response;

export function serveSocket(service: EdgeService, edge: Edge, upgrade: Upgrade): void {
  service.serve({
    method: "GET",
    path: "/v1/ws",
    operationId: "openSocket",
    summary: "Send signals and watch them over a WebSocket",
    description:
      'Authenticate by header, or by a first message `{"type":"auth","token":…}` within five seconds. ' +
      "Then each message is the body of `POST /v1/signals`, with `idempotencyKey` and `ref` if wanted. " +
      'Answers: `{"type":"accepted","ref",…}` or `{"type":"problem","ref",…}`, then ' +
      '`{"type":"progress","ref",…}` until the fan-out is complete.',
    answers: { 101: { description: "The socket is open." } },
    problems: ["TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_SCOPE", "UPGRADE_REQUIRED"],
    async handle({ request, context, later }) {
      if (!asksForSocket(request)) return upgradeRequired();
      const header = request.headers.get("authorization");
      const caller = header === null ? undefined : await identify(edge, header);
      if (caller?.ok === false) return caller;
      if (caller && !caller.value.permissions.has("signals:write")) return failure("TOKEN_SCOPE");
      try {
        return upgrade(context, openSession(edge, later, caller?.value));
      } catch {
        // The runtime refuses a request that is not a handshake.
        return upgradeRequired();
      }
    },
  });
}

async function identify(edge: Edge, header: string): Promise<Result<Caller>> {
  const token = parseBearer(header);
  return token.ok ? await edge.verifyToken(token.value, edge.clock()) : token;
}

export function asksForSocket(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

export function upgradeRequired(): Response {
  return problemResponse(failure("UPGRADE_REQUIRED"), { upgrade: "websocket" });
}
