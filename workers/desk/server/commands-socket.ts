/**
 * The same lines by WebSocket. Replies come when they are ready, in order for each user;
 * `n` says which line each belongs to.
 */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import * as v from "valibot";
import { failure } from "../../../domain/result.ts";
import { answerSocket } from "../../../http/line-socket.ts";
import { problemResponse } from "../../../http/problem.ts";
import { lineWork, type DeskCommands } from "./commands.ts";
import { lineSender, SESSION } from "./sender.ts";
import { serverOf, type CommandSocket, type DeskService } from "./service.ts";

/** A line of a megabyte gets an error. A larger message closes the connection. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Bytes that were sent and not read. A socket with more is closed. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
/** A sender with more open lines than this does not wait for any reply; its socket is closed. */
const MAX_OPEN = 16_384;

export function serveCommandSocket(service: DeskService): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/ws",
    operationId: "openCommandSocket",
    summary: "Command the desk over a WebSocket",
    description:
      "Each message holds one or several lines as `POST /v1/desk/commands` takes them, and so does each answer.",
    permission: "desk:admin",
    query: v.object({ session: SESSION }),
    answers: { 101: { description: "The socket is open." } },
    problems: ["UPGRADE_REQUIRED"],
    handle({ query, request, context }) {
      const data: CommandSocket = { sender: lineSender("", "", query.session) };
      if (serverOf(context).upgrade(request, { data })) {
        // Bun has taken over the connection: this response is never sent.
        return new Response(null);
      }
      return problemResponse(failure("UPGRADE_REQUIRED"), { upgrade: "websocket" });
    },
  });
}

export function commandSockets(
  commands: DeskCommands,
  stop: AbortSignal,
): WebSocketHandler<CommandSocket> {
  const sockets = new Set<ServerWebSocket<CommandSocket>>();
  stop.addEventListener("abort", () => {
    for (const { data } of sockets) data.lines?.stop();
  });
  return {
    maxPayloadLength: MAX_MESSAGE_BYTES,
    backpressureLimit: MAX_UNREAD_BYTES,
    closeOnBackpressureLimit: true,
    idleTimeout: 0,
    open(socket) {
      sockets.add(socket);
      const work = lineWork(commands, socket.data.sender, { maxOpen: MAX_OPEN, order: "ready" });
      const own = {
        send: (text: string) => void socket.send(text),
        close: (code: number, reason: string) => void socket.close(code, reason),
      };
      // Replies of several partitions come in one round of the event loop.
      socket.data.lines = answerSocket(own, work, { soon: setImmediate });
      if (stop.aborted) socket.data.lines.stop();
    },
    message: ({ data }, message) => data.lines?.take(message),
    close(socket) {
      sockets.delete(socket);
      socket.data.lines?.leave();
    },
  };
}
