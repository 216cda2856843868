/**
 * `GET /v1/desk/ws`: the desk's lines by WebSocket. The socket ends here, and its lines are relayed
 * one chunk at a time, so it survives the loss of a desk server. Replies come in the order of their
 * lines.
 */
import * as v from "valibot";
import type { Edge, EdgeService } from "../edge.ts";
import { type Upgrade, asksForSocket, upgradeRequired } from "../socket.ts";
import type { SocketEvents } from "../socket-session.ts";
import { type Sender, relayedLines } from "./relay.ts";
import { SENDER_PROBLEMS, SESSION, identifySender } from "./sender.ts";
import { type SocketLines, answerSocket } from "../../http/line-socket.ts";

/** Lines that are taken and not answered. A sender with more of them does not read replies. */
const MAX_OPEN = 16_384;
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const POLICY_VIOLATION = 1008;

export function serveDeskSocket(service: EdgeService, edge: Edge, upgrade: Upgrade): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/ws",
    operationId: "openDeskSocket",
    summary: "Command the desk over a WebSocket",
    description:
      "Each message contains one or several lines as for `POST /v1/desk/commands`, and so does each answer. " +
      "`?session=` names the session, as `Command-Session` does.",
    permission: "desk:trade",
    query: v.strictObject({ session: SESSION }),
    answers: { 101: { description: "The socket is open." } },
    problems: ["UPGRADE_REQUIRED", ...SENDER_PROBLEMS],
    handle(call) {
      if (!asksForSocket(call.request)) return upgradeRequired();
      const sender = identifySender(call, edge, call.query.session);
      if (!sender.ok) return sender;
      try {
        return upgrade(call.context, openDeskSession(edge, sender.value, call.caller.expiresAtMs));
      } catch {
        // The runtime refuses a request that is not a handshake.
        return upgradeRequired();
      }
    },
  });
}

function openDeskSession(edge: Edge, sender: Sender, expiresAtMs: number): SocketEvents {
  const whyOver = () => (edge.clock() < expiresAtMs ? undefined : "TOKEN_EXPIRED");
  const work = relayedLines(sender, { maxOpen: MAX_OPEN, whyOver });
  let lines: SocketLines | undefined;
  const stop = (): void => lines?.stop();
  return {
    open(socket) {
      lines = answerSocket(socket, work, { maxUnreadBytes: MAX_UNREAD_BYTES });
      if (edge.stop.aborted) stop();
      else edge.stop.addEventListener("abort", stop);
    },
    message(data) {
      if (typeof data === "string") lines?.take(data);
      else lines?.hangUp(POLICY_VIOLATION, "lines are text");
    },
    close() {
      edge.stop.removeEventListener("abort", stop);
      lines?.leave();
    },
  };
}
