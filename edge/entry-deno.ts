/** The edge as a process on Deno. Prints `ready` once it serves; SIGTERM and SIGINT drain it. */
import { createApp } from "./app.ts";
import { openEdge } from "./edge.ts";
import { readEnv, summarizeEnv } from "./env.ts";
import { configureLog, log } from "./log.ts";
import { pageFolder } from "./page-folder.ts";
import { newTasks } from "./tasks.ts";

/** The part of the runtime that is used here; the rest has no types in this project. */
declare const Deno: {
  readonly env: { toObject(): Record<string, string> };
  exit(code: number): never;
  addSignalListener(signal: "SIGTERM" | "SIGINT", handler: () => void): void;
  serve(
    options: { readonly hostname?: string; readonly port: number; readonly onListen: () => void },
    handler: (request: Request) => Response | Promise<Response>,
  ): { shutdown(): Promise<void> };
  upgradeWebSocket(request: Request): { readonly response: Response; readonly socket: WebSocket };
};

const DRAIN_MS = 10_000;
const LAST_ANSWERS_MS = 1_000;

const env = readEnv(Deno.env.toObject());
if (!env.ok) {
  console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
  Deno.exit(2);
}
configureLog();
log.info("starting", summarizeEnv(env.value));

const stop = new AbortController();
const tasks = newTasks();
const app = createApp(openEdge(env.value, stop.signal), {
  pageFiles: env.value.FANFARE_APP === undefined ? undefined : pageFolder(env.value.FANFARE_APP),
  upgrade(c, events) {
    const { response, socket } = Deno.upgradeWebSocket(c.req.raw);
    socket.addEventListener("open", () => {
      events.open({
        send: (text) => socket.send(text),
        close: (code, reason) => socket.close(code, reason),
        unreadBytes: () => socket.bufferedAmount,
      });
    });
    socket.addEventListener("message", (event) => {
      events.message(event.data);
    });
    socket.addEventListener("close", () => {
      events.close();
    });
    return response;
  },
});

const server = Deno.serve(
  {
    ...(env.value.HOST === undefined ? {} : { hostname: env.value.HOST }),
    port: env.value.PORT,
    onListen() {
      console.log("ready");
    },
  },
  (request) => tasks.track(app.fetch(request, {}, tasks.context)),
);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.addSignalListener(signal, () => void drain());
}

async function drain(): Promise<void> {
  stop.abort();
  const shut = server.shutdown();
  await tasks.settled(DRAIN_MS);
  // The last answers are still being sent.
  await Promise.race([shut, new Promise((resolve) => setTimeout(resolve, LAST_ANSWERS_MS))]);
  Deno.exit(0);
}
