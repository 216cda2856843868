/** Raw TCP for protocol tests: a client that sends a text, and peers that misbehave. */
import type { Socket } from "bun";
import { freePort } from "./ports.ts";

/** Sends a text and returns everything that came back until the other side closed. */
export async function exchange(port: number, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write(text),
      data: (_socket, bytes) => void (received += bytes.toString()),
      close: () => resolve(received),
      error: (_socket, error) => reject(error),
    },
  });
  return await promise;
}

export interface Peer {
  readonly url: string;
  readonly port: number;
  /** The received texts, one for each connection. */
  readonly heard: string[];
  stop(): void;
}

/** A server that calls `act` on each connection after its first data. */
export async function startPeer(
  act: (socket: Socket<number>, heard: string) => void | Promise<void>,
): Promise<Peer> {
  const port = await freePort();
  const heard: string[] = [];
  const server = Bun.listen<number>({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void (socket.data = heard.push("") - 1),
      async data(socket, bytes) {
        heard[socket.data] += bytes.toString();
        await act(socket, heard[socket.data] ?? "");
      },
    },
  });
  return { url: `tcp://127.0.0.1:${port}`, port, heard, stop: () => server.stop(true) };
}
