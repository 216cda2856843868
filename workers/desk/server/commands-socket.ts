/**
 * The same lines by WebSocket. Replies come as they are ready, of each user in
 * order; `n` tells which is which.
 */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import { answerSocket, type SocketLines } from "../../../http/lines.ts";
import { lineWork, type DeskCommands } from "./commands.ts";
import type { LineSender } from "./sender.ts";

export interface CommandSocket {
  readonly sender: LineSender;
  /** Once it is open. */
  lines?: SocketLines;
}

/** A line of a megabyte is answered with what is wrong with it; more than this in a message is hung up on. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** What is sent and not read; a socket with more than that is closed. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
/** A sender with more lines under way than that does not wait for any reply. */
const MAX_OPEN = 16_384;

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
