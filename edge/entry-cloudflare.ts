/**
 * The edge as a Cloudflare Worker. Its parts are created once per isolate and store nothing of a
 * request.
 */
import type { Hono } from "hono";
import { createApp } from "./app.ts";
import { openEdge } from "./edge.ts";
import { readEnv } from "./env.ts";
import { configureLog, log } from "./log.ts";
import { problemResponse } from "../http/problem.ts";
import { failure } from "../domain/result.ts";
import type { Upgrade } from "./socket.ts";

/** The part of the runtime that is used here; the rest has no types in this project. */
interface ServerSocket extends WebSocket {
  accept(): void;
}
declare const WebSocketPair: new () => { readonly 0: WebSocket; readonly 1: ServerSocket };
interface Assets {
  fetch(url: URL): Promise<Response>;
}
interface Context {
  waitUntil(task: Promise<unknown>): void;
  passThroughOnException(): void;
  readonly props: unknown;
}
type Bindings = Readonly<Record<string, unknown>> & { readonly ASSETS?: Assets };

const upgrade: Upgrade = (_c, events) => {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.addEventListener("message", (event) => {
    events.message(event.data);
  });
  server.addEventListener("close", () => {
    events.close();
  });
  events.open({
    send: (text) => server.send(text),
    close: (code, reason) => server.close(code, reason),
    // Workers do not report it: unread data count against the isolate's own limit.
    unreadBytes: () => 0,
  });
  return new Response(null, { status: 101, webSocket: client } as ResponseInit);
};

let app: Hono | undefined;

function open(bindings: Bindings): Hono | undefined {
  configureLog();
  const env = readEnv(bindings);
  if (!env.ok) {
    log.error("the configuration does not hold", { faults: env.faults });
    return undefined;
  }
  const { ASSETS: assets } = bindings;
  return createApp(openEdge(env.value, new AbortController().signal), {
    upgrade,
    pageFiles: assets
      ? async (path) => {
          const response = await assets.fetch(new URL(path, "https://assets.invalid"));
          return response.ok ? response : undefined;
        }
      : undefined,
  });
}

export default {
  fetch(request: Request, bindings: Bindings, context: Context): Response | Promise<Response> {
    app ??= open(bindings);
    return app?.fetch(request, bindings, context) ?? problemResponse(failure("INTERNAL"));
  },
};
