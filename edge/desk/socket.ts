/**
 * `GET /v1/desk/ws`: the desk's lines by WebSocket. The socket ends here, and
 * its lines go on a chunk at a time, so it outlives the server that answered
 * last. Replies come in the order of their lines.
 */
import * as v from "valibot";
import { isBlank } from "../../domain/desk/command.ts";
import { lineCutter } from "../../domain/desk/lines.ts";
import type { Edge, EdgeService } from "../edge.ts";
import { log } from "../log.ts";
import type { Socket, SocketEvents } from "../socket-session.ts";
import { asksForSocket, upgradeRequired, type Upgrade } from "../socket.ts";
import { MAX_CHUNK_LINES, relay, type Sender } from "./relay.ts";
import { SENDER_PROBLEMS, senderOf, SESSION } from "./sender.ts";

/** Lines that are taken and not answered; who lets more pile up waits for no reply. */
const MAX_OPEN = 16_384;
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

export function serveDeskSocket(service: EdgeService, edge: Edge, upgrade: Upgrade): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/ws",
    operationId: "openDeskSocket",
    summary: "Command the desk over a WebSocket",
    description:
      "Each message holds one or several lines as `POST /v1/desk/commands` takes them, and so does each answer. " +
      "`?session=` names the session, as `Command-Session` does.",
    permission: "desk:trade",
    query: v.strictObject({ session: SESSION }),
    answers: { 101: { description: "The socket is open." } },
    problems: ["UPGRADE_REQUIRED", ...SENDER_PROBLEMS],
    handle(call) {
      if (!asksForSocket(call.request)) return upgradeRequired();
      const sender = senderOf(call, edge, call.query.session);
      if (!sender.ok) return sender;
      try {
        return upgrade(call.context, openDeskSession(edge, sender.value, call.caller.expiresAtMs));
      } catch {
        return upgradeRequired();
      }
    },
  });
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
