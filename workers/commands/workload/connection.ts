/**
 * One persistent connection to a desk. Lines that are added in one event-loop turn are sent as one
 * message. When the server disconnects, or answers `OUTCOME_UNKNOWN` for a line, the next server is
 * used. All lines without a reply are sent again, in order and with their numbers, in the same
 * session: the desk executes each once.
 */
import type { WorkloadLine } from "./line.ts";

export interface DeskAddress {
  /** `http://…`, one or several servers of the same desk. */
  readonly urls: readonly string[];
  readonly token: string;
  readonly session: string;
}

export interface Flight<Owner> {
  readonly line: WorkloadLine;
  readonly owner: Owner;
  /** The time from which its latency counts, by `performance.now()`. */
  readonly sentAtMs: number;
}

export interface ConnectionOptions<Owner> {
  readonly address: DeskAddress;
  /** The index of the server that is used first. */
  readonly first: number;
  /**
   * `code` is the refusal's code, or empty. Lines that are added meanwhile are sent as one message.
   */
  onReply(flight: Flight<Owner>, code: string, atMs: number): void;
  /** No server has answered for too long. */
  onDead(): void;
}

const RETRY_MS = 100;
const DEAD_AFTER_MS = 90_000;
/** A server that runs but hangs counts as gone. A quote may take five seconds, and a log longer. */
const SILENT_AFTER_MS = 30_000;
const CHECK_MS = 1_000;
/** Well below the megabyte that a message may have. */
const MESSAGE_CHARACTERS = 256 * 1024;
const UNKNOWN = "OUTCOME_UNKNOWN";

export class Connection<Owner> {
  readonly #options: ConnectionOptions<Owner>;
  readonly #flights = new Map<number, Flight<Owner>>();
  #socket: WebSocket | undefined;
  #outbox: string[] = [];
  #server: number;
  #heardAtMs = performance.now();
  #connectedAtMs = 0;
  #closed = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #check: ReturnType<typeof setInterval>;

  constructor(options: ConnectionOptions<Owner>) {
    this.#options = options;
    this.#server = options.first;
    this.#check = setInterval(() => this.#watch(), CHECK_MS);
    this.#connect();
  }

  /** Adds a line; `flush` sends it. */
  put(line: WorkloadLine, owner: Owner, sentAtMs: number): void {
    if (this.#flights.size === 0) this.#heardAtMs = performance.now();
    this.#flights.set(line.n, { line, owner, sentAtMs });
    this.#outbox.push(line.text);
  }

  flush(): void {
    if (this.#outbox.length === 0 || this.#socket?.readyState !== WebSocket.OPEN) return;
    send(this.#socket, this.#outbox);
    this.#outbox = [];
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#check);
    clearTimeout(this.#retry);
    this.#socket?.close();
  }

  #connect(): void {
    const { urls, token, session } = this.#options.address;
    const url = new URL("/v1/desk/ws", urls[this.#server % urls.length]);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("session", session);
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
    this.#socket = socket;
    this.#connectedAtMs = performance.now();
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return;
      // All lines without a reply, including those that were not sent yet.
      this.#outbox = [];
      send(
        socket,
        [...this.#flights.values()].map(({ line }) => line.text),
      );
    });
    socket.addEventListener("message", ({ data }) => {
      if (this.#socket === socket) this.#receive(String(data));
    });
    socket.addEventListener("close", () => this.#moveOn(socket));
    socket.addEventListener("error", () => this.#moveOn(socket));
  }

  #receive(message: string): void {
    const atMs = performance.now();
    this.#heardAtMs = atMs;
    let start = 0;
    while (start < message.length) {
      const newline = message.indexOf("\n", start);
      const end = newline < 0 ? message.length : newline;
      this.#take(message.slice(start, end), atMs);
      start = end + 1;
    }
    this.flush();
  }

  /**
   * `{"n":12,"transaction":345,"ok":true…`, or with `"ok":false,"code":"…"`: only these parts are
   * read.
   */
  #take(reply: string, atMs: number): void {
    const n = Number.parseInt(reply.slice(5, 24), 10);
    const flight = this.#flights.get(n);
    if (!flight) return;
    const code = findRefusal(reply);
    if (code === UNKNOWN) {
      setTimeout(() => this.#again(flight), RETRY_MS);
      return;
    }
    this.#flights.delete(n);
    this.#options.onReply(flight, code, atMs);
  }

  #again({ line }: Flight<Owner>): void {
    if (!this.#flights.has(line.n)) return;
    this.#outbox.push(line.text);
    this.flush();
  }

  #moveOn(socket: WebSocket): void {
    if (this.#socket !== socket || this.#closed) return;
    this.#socket = undefined;
    this.#server += 1;
    this.#retry = setTimeout(() => this.#connect(), RETRY_MS);
  }

  #watch(): void {
    if (this.#flights.size === 0) return;
    const nowMs = performance.now();
    if (nowMs - this.#heardAtMs > DEAD_AFTER_MS) this.#options.onDead();
    else if (nowMs - Math.max(this.#heardAtMs, this.#connectedAtMs) > SILENT_AFTER_MS) {
      const socket = this.#socket;
      if (!socket) return;
      socket.terminate();
      this.#moveOn(socket);
    }
  }
}

function send(socket: WebSocket, lines: readonly string[]): void {
  let message = "";
  for (const line of lines) {
    if (message.length > MESSAGE_CHARACTERS) {
      socket.send(message);
      message = "";
    }
    message += message === "" ? line : `\n${line}`;
  }
  if (message !== "") socket.send(message);
}

/** Empty for a command that was executed. */
function findRefusal(reply: string): string {
  const at = reply.indexOf('"ok":');
  if (reply.charAt(at + 5) === "t") return "";
  const from = reply.indexOf('"code":"', at) + 8;
  return reply.slice(from, reply.indexOf('"', from));
}
