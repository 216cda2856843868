/**
 * `GET /v1/ws`: the same signal as a message, answered with its acceptance and
 * then its live progress.
 */
import type { Context } from "hono";
import { identify } from "./bearer.ts";
import type { Edge, EdgeApp } from "./edge.ts";
import { describe } from "./openapi.ts";
import { problemResponse } from "./problems.ts";
import { failure } from "../domain/result.ts";
import { openSession, type SocketEvents } from "./socket-session.ts";

/** Upgrades a request by whatever the runtime has for it; throws where the handshake is wrong. */
export type Upgrade = (c: Context, events: SocketEvents) => Response;

export function serveSocket(app: EdgeApp, edge: Edge, upgrade: Upgrade): void {
  app.get(
    "/v1/ws",
    describe({
      operationId: "openSocket",
      summary: "Send signals and watch them over a WebSocket",
      description:
        'Authenticate by header, or by a first message `{"type":"auth","token":…}` within five seconds. ' +
        "Then each message is the body of `POST /v1/signals`, with `idempotencyKey` and `ref` if wanted. " +
        'Answers: `{"type":"accepted","ref",…}` or `{"type":"problem","ref",…}`, then ' +
        '`{"type":"progress","ref",…}` until the fan-out is complete.',
      responses: { "101": { description: "The socket is open." } },
      problems: ["TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_SCOPE", "UPGRADE_REQUIRED"],
    }),
    async (c) => {
      if (c.req.header("upgrade")?.toLowerCase() !== "websocket") return upgradeRequired();
      const header = c.req.header("authorization");
      const caller = header === undefined ? undefined : await identify(edge, header);
      if (caller && !caller.ok) return problemResponse(caller);
      if (caller && !caller.value.scopes.has("signals:write")) {
        return problemResponse(failure("TOKEN_SCOPE"));
      }
      try {
        return upgrade(
          c,
          openSession(edge, (task) => c.executionCtx.waitUntil(task), caller?.value),
        );
      } catch {
        // The runtime refuses whatever is no handshake.
        return upgradeRequired();
      }
    },
  );
}

export function upgradeRequired(): Response {
  return problemResponse(failure("UPGRADE_REQUIRED"), { upgrade: "websocket" });
}
