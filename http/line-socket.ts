/** Lines by a WebSocket, which is closed if its replies are not read. */
import { splitLines } from "./line-cutter.ts";
import { Exchange, type LineWork } from "./lines.ts";

const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

/** A socket that is open. */
export interface LineSocket {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Bytes that were sent and not read by the other side; 0 if the runtime does not report it. */
  unreadBytes?(): number;
}

export interface SocketOptions {
  readonly maxUnreadBytes?: number;
  /** Schedules the sending of replies that become ready together. */
  readonly soon?: (task: () => void) => void;
}

/** The events that the owner of a socket reports. */
export interface SocketLines {
  /** A message holds one or several lines, the last with or without its newline. */
  take(message: Uint8Array | string): void;
  stop(): void;
  /** Closes it at once. */
  hangUp(code: number, reason: string): void;
  /** It was closed. */
  leave(): void;
}

/** The replies to the lines of a socket, one or several in a message. */
export function answerSocket(
  socket: LineSocket,
  work: LineWork,
  { maxUnreadBytes = Number.POSITIVE_INFINITY, soon = queueMicrotask }: SocketOptions = {},
): SocketLines {
  let isStopping = false;
  const exchange = new Exchange(work, {
    onReply: () => soon(flush),
    onOver(why) {
      if (why !== undefined) hangUp(POLICY_VIOLATION, why);
    },
    onFailed: () => hangUp(GOING_AWAY, "INTERNAL"),
  });

  function hangUp(code: number, reason: string): void {
    leave();
    socket.close(code, reason);
  }

  function leave(): void {
    exchange.isGone = true;
    exchange.end();
  }

  function flush(): void {
    if (exchange.isGone) return;
    const text = exchange.next(Number.POSITIVE_INFINITY);
    if (text !== "") socket.send(text);
    if (isStopping) endIfAnswered();
    else if ((socket.unreadBytes?.() ?? 0) > maxUnreadBytes) {
      hangUp(POLICY_VIOLATION, "the replies are not read");
    }
  }

  function endIfAnswered(): void {
    if (exchange.open === 0) hangUp(GOING_AWAY, "the server is going away");
  }

  return {
    take(message) {
      if (exchange.isOver) return;
      exchange.add(splitLines(message));
      if (exchange.open > work.maxOpen) hangUp(POLICY_VIOLATION, "too many lines");
      else exchange.handOver();
    },
    stop() {
      if (exchange.isGone) return;
      isStopping = true;
      exchange.end();
      endIfAnswered();
    },
    hangUp,
    leave,
  };
}
