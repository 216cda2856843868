/**
 * The streaming side of the simulator. A client sends `SUBSCRIBE EUR/USD,R_100\n` and gets
 * `SYM,price,timestampMs\n` of each symbol at once and at every step. Another SUBSCRIBE
 * replaces the first. A client that asks for other symbols, or does not read as fast as
 * prices come, is disconnected: nothing is stored for it.
 */
import type { Socket } from "bun";
import { STEP_MS, type Prices } from "./prices.ts";
import { STREAMED_SYMBOLS } from "./walk.ts";

const MAX_REQUEST_BYTES = 1_024;
const MAX_CLIENTS = 256;
/** How long a new connection may take to subscribe. */
const SUBSCRIBE_SECONDS = 10;

interface Client {
  request: string;
  symbols: readonly string[];
}

export interface StreamServer {
  /** Sends every client the quotes of this moment. */
  publish(nowMs: number): void;
  clients(): number;
  stop(): void;
}

export function listenStreaming(
  at: { readonly hostname: string; readonly port: number },
  prices: Prices,
  now: () => number,
): StreamServer {
  const clients = new Set<Socket<Client>>();

  function send(socket: Socket<Client>, nowMs: number): void {
    const { symbols } = socket.data;
    if (symbols.length === 0) return;
    const time = nowMs - (nowMs % STEP_MS);
    const text = symbols
      .map((each) => ({ each, price: prices(each, nowMs) }))
      .map(({ each, price }) => (price === undefined ? "" : `${each},${price},${time}\n`))
      .join("");
    if (text === "") return;
    // Symbols and prices are ASCII: they have as many bytes as characters.
    if (socket.write(text) < text.length) socket.terminate();
  }

  const server = Bun.listen<Client>({
    ...at,
    socket: {
      open(socket) {
        socket.data = { request: "", symbols: [] };
        if (clients.size >= MAX_CLIENTS) socket.end();
        else clients.add(socket);
        socket.timeout(SUBSCRIBE_SECONDS);
      },
      data(socket, bytes) {
        const { data } = socket;
        const lines = (data.request + bytes.toString("latin1")).split("\n");
        data.request = lines.pop() ?? "";
        for (const line of lines) {
          const symbols = parseRequest(line);
          if (symbols === undefined) {
            socket.end();
            return;
          }
          data.symbols = symbols;
          socket.timeout(0);
          send(socket, now());
        }
        if (data.request.length > MAX_REQUEST_BYTES) socket.end();
      },
      close: (socket) => void clients.delete(socket),
      timeout: (socket) => void socket.end(),
      error: (socket) => void socket.end(),
    },
  });

  return {
    publish(nowMs) {
      for (const client of clients) send(client, nowMs);
    },
    clients: () => clients.size,
    stop() {
      server.stop(true);
    },
  };
}

function parseRequest(line: string): readonly string[] | undefined {
  const symbols = /^SUBSCRIBE ([A-Z0-9_/,]+)\r?$/.exec(line)?.[1]?.split(",") ?? [];
  const wanted = [...new Set(symbols)];
  return wanted.length > 0 && wanted.every((each) => STREAMED_SYMBOLS.includes(each))
    ? wanted
    : undefined;
}
