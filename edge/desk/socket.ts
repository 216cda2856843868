/**
 * `GET /v1/desk/ws`: the desk's lines by WebSocket. The socket ends here, and
 * its lines go on a chunk at a time, so it outlives the server that answered
 * last. Replies come in the order of their lines.
 */
import { isBlank } from "../../domain/desk/command.ts";
import { lineCutter } from "../../domain/desk/lines.ts";
import { requireScope } from "../bearer.ts";
import type { Edge, EdgeApp } from "../edge.ts";
import { log } from "../log.ts";
import { describe } from "../openapi.ts";
import { problemResponse } from "../problems.ts";
import type { Socket, SocketEvents } from "../socket-session.ts";
import { upgradeRequired, type Upgrade } from "../socket.ts";
import { MAX_CHUNK_LINES, relay, type Sender } from "./relay.ts";
import { SENDER_PROBLEMS, senderOf, sessionOf } from "./sender.ts";

/** Lines that are taken and not answered; who lets more pile up waits for no reply. */
const MAX_OPEN = 16_384;
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

export function serveDeskSocket(app: EdgeApp, edge: Edge, upgrade: Upgrade): void {
  app.get(
    "/v1/desk/ws",
    describe({
      operationId: "openDeskSocket",
      summary: "Command the desk over a WebSocket",
      description:
        "Each message holds one or several lines as `POST /v1/desk/commands` takes them, and so does each answer. " +
        "`?session=` names the session, as `Command-Session` does.",
      scope: "desk:trade",
      parameters: [
        {
          name: "session",
          in: "query",
          required: false,
          schema: { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}$" },
        },
      ],
      responses: { "101": { description: "The socket is open." } },
      problems: ["HEADER_INVALID", "UPGRADE_REQUIRED", ...SENDER_PROBLEMS],
    }),
    requireScope(edge, "desk:trade"),
    (c) => {
      if (c.req.header("upgrade")?.toLowerCase() !== "websocket") return upgradeRequired();
      const session = sessionOf(c.req.query("session"));
      const sender = session.ok ? senderOf(c, edge, session.value) : session;
      if (!sender.ok) return problemResponse(sender);
      try {
        return upgrade(c, openDeskSession(edge, sender.value, c.var.caller.expiresAtMs));
      } catch {
        // The runtime refuses whatever is no handshake.
        return upgradeRequired();
      }
    },
  );
}

function openDeskSession(edge: Edge, sender: Sender, expiresAtMs: number): SocketEvents {
  let socket: Socket | undefined;
  let lines: string[] = [];
  let open = 0;
  let busy = false;
  let closed = false;

  function hangUp(code: number, reason: string): void {
    closed = true;
    lines = [];
    socket?.close(code, reason);
  }
  const goAway = (): void => hangUp(GOING_AWAY, "the server is going away");

  async function work(): Promise<void> {
    while (lines.length > 0) {
      if (edge.clock() >= expiresAtMs) {
        hangUp(POLICY_VIOLATION, "TOKEN_EXPIRED");
        return;
      }
      const chunk = lines.slice(0, MAX_CHUNK_LINES);
      lines = lines.slice(MAX_CHUNK_LINES);
      for await (const replies of relay(sender, chunk)) {
        open -= replies.length;
        if (closed) return;
        if (replies.length > 0) socket?.send(replies.join("\n"));
        if ((socket?.unreadBytes() ?? 0) > MAX_UNREAD_BYTES) {
          hangUp(POLICY_VIOLATION, "the replies are not read");
          return;
        }
      }
    }
  }

  function take(text: string): void {
    const cutter = lineCutter();
    const taken = [...cutter.take(text), cutter.rest()].filter((line) => !isBlank(line));
    open += taken.length;
    lines.push(...taken);
    if (open > MAX_OPEN) {
      hangUp(POLICY_VIOLATION, "too many lines");
      return;
    }
    if (busy) return;
    busy = true;
    sender.later(
      work()
        .catch((error: unknown) => {
          log.error("a desk socket failed", { error: (error as Error).name });
          hangUp(GOING_AWAY, "INTERNAL");
        })
        .finally(() => {
          busy = false;
        }),
    );
  }

  return {
    open(opened) {
      socket = opened;
      if (edge.stop.aborted) goAway();
      else edge.stop.addEventListener("abort", goAway);
    },
    message(data) {
      if (closed) return;
      if (typeof data === "string") take(data);
      else hangUp(POLICY_VIOLATION, "lines are text");
    },
    close() {
      closed = true;
      lines = [];
      edge.stop.removeEventListener("abort", goAway);
    },
  };
}
