/** The edge as a process on Bun. Prints `ready` once it serves; SIGTERM and SIGINT drain it. */
import { createApp } from "./app.ts";
import { openEdge } from "./edge.ts";
import { readEnv, summarizeEnv } from "./env.ts";
import { configureLog, log } from "./log.ts";
import { pageFolder } from "./page-folder.ts";
import type { SocketEvents } from "./socket-session.ts";
import { newTasks } from "./tasks.ts";

/**
 * Above the limit for a message, so that a message that is too long gets an error instead of a
 * broken connection.
 */
const MAX_FRAME_BYTES = 2 * 1024 * 1024;
/** Lines for the desk may stream without limit; every other body is limited where it is read. */
const ANY_LENGTH = Number.MAX_SAFE_INTEGER;
const DRAIN_MS = 10_000;

const env = readEnv(process.env);
if (!env.ok) {
  console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
  process.exit(2);
}
configureLog();
process.title = "fanfare edge";
log.info("starting", summarizeEnv(env.value));

// A signal has about a hundred bytes: hash them at once, because Web Crypto uses another thread.
const sha256 = (text: string): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");
const stop = new AbortController();
const tasks = newTasks();
const app = createApp(openEdge(env.value, stop.signal, sha256), {
  pageFiles: env.value.FANFARE_APP === undefined ? undefined : pageFolder(env.value.FANFARE_APP),
  upgrade(c, events) {
    const bun = c.env as Bun.Server<SocketEvents>;
    if (!bun.upgrade(c.req.raw, { data: events })) throw new Error("not a handshake");
    // Bun has taken over the connection: this response is never sent.
    return new Response(null);
  },
});

const server = Bun.serve<SocketEvents>({
  ...(env.value.HOST === undefined ? {} : { hostname: env.value.HOST }),
  port: env.value.PORT,
  // Longer than a stream of events may be silent.
  idleTimeout: 120,
  maxRequestBodySize: ANY_LENGTH,
  fetch: (request, bun) => tasks.track(app.fetch(request, bun, tasks.context)),
  websocket: {
    maxPayloadLength: MAX_FRAME_BYTES,
    open(socket) {
      socket.data.open({
        send: (text) => void socket.send(text),
        close: (code, reason) => socket.close(code, reason),
        unreadBytes: () => socket.getBufferedAmount(),
      });
    },
    message(socket, data) {
      socket.data.message(data);
    },
    close(socket) {
      socket.data.close();
    },
  },
});
console.log("ready");

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void drain());
}

async function drain(): Promise<void> {
  stop.abort();
  void server.stop();
  await tasks.settled(DRAIN_MS);
  await server.stop(true);
  process.exit(0);
}
