/**
 * A TCP link to a local server that a test can cut and restore: both ends stay alive and receive
 * nothing.
 */
import { connect, createServer, type Socket } from "node:net";

export interface CuttableLink {
  readonly port: number;
  /** Closes all connections and refuses new ones. */
  cut(): void;
  /** How many connections were refused so far. */
  refused(): number;
  mend(): void;
  stop(): Promise<void>;
}

export async function startLink(toPort: number): Promise<CuttableLink> {
  const open = new Set<Socket>();
  let whole = true;
  let refused = 0;
  const server = createServer((near) => {
    if (!whole) {
      refused += 1;
      near.destroy();
      return;
    }
    const far = connect(toPort, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");

  function cut(): void {
    whole = false;
    for (const socket of open) socket.destroy();
  }
  return {
    port: address.port,
    cut,
    refused: () => refused,
    mend() {
      whole = true;
    },
    async stop() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
