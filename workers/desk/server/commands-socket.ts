/**
 * The same lines by WebSocket: a message holds one or several, and so does an
 * answer. Replies come as they are ready, of each user in order; `n` tells which
 * is which. A desk that stops takes no more, answers what it took, and closes.
 */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import { isBlank } from "../../../domain/desk/command.ts";
import type { DeskCommands } from "./commands.ts";
import type { LineSender } from "./sender.ts";

export interface CommandSocket {
  readonly sender: LineSender;
  /** Lines taken and not answered. */
  open: number;
  /** Replies that go out together at the end of this turn. */
  replies: string[];
  /** The log of all users waits for what came before it, and what comes after waits for it. */
  waiting: string[];
}

/** A line of a megabyte is answered with what is wrong with it; more than this in a message is hung up on. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** What is sent and not read; whoever lets more pile up is dropped. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const MAX_OPEN = 16_384;
/** A sender with more lines under way than that does not wait for any reply. */
const TOO_MANY = 1008;
const GOING_AWAY = 1001;

export function commandSockets(
  commands: DeskCommands,
  stop: AbortSignal,
): WebSocketHandler<CommandSocket> {
  const sockets = new Set<ServerWebSocket<CommandSocket>>();
  stop.addEventListener("abort", () => {
    for (const socket of sockets) if (socket.data.open === 0) socket.close(GOING_AWAY);
  });

  function submit(socket: ServerWebSocket<CommandSocket>, line: string): void {
    const { data } = socket;
    data.open += 1;
    commands.submit(line, data.sender, (reply) => {
      data.open -= 1;
      if (data.replies.push(reply) === 1) setImmediate(() => flush(socket));
    });
  }

  function flush(socket: ServerWebSocket<CommandSocket>): void {
    const { data } = socket;
    const text = data.replies.join("\n");
    data.replies = [];
    socket.send(text);
    if (data.open > 0) return;
    if (stop.aborted) socket.close(GOING_AWAY);
    else goOn(socket);
  }

  /** Takes lines until one must wait. */
  function goOn(socket: ServerWebSocket<CommandSocket>): void {
    const { data } = socket;
    const lines = data.waiting;
    data.waiting = [];
    for (const [index, line] of lines.entries()) {
      if (line.includes("DUMPLOG") && data.open > 0) {
        data.waiting = lines.slice(index);
        return;
      }
      submit(socket, line);
    }
  }

  return {
    maxPayloadLength: MAX_MESSAGE_BYTES,
    backpressureLimit: MAX_UNREAD_BYTES,
    closeOnBackpressureLimit: true,
    idleTimeout: 0,
    open: (socket) => void sockets.add(socket),
    close: (socket) => void sockets.delete(socket),
    message(socket, message) {
      if (stop.aborted) return;
      const { data } = socket;
      const text = typeof message === "string" ? message : message.toString("latin1");
      for (const line of text.split("\n")) if (!isBlank(line)) data.waiting.push(line);
      if (data.open + data.waiting.length > MAX_OPEN) socket.close(TOO_MANY, "too many lines");
      else goOn(socket);
    },
  };
}
