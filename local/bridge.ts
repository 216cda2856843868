/**
 * The Upstash REST protocol in front of any Redis, for one machine and for people who host their
 * own: the edge speaks HTTP only. It listens on loopback only, and every path requires the bearer
 * token.
 *
 * `POST /` one command as a JSON array; `GET|POST /<command>/<arg>…` the same as a path; `POST
 * /pipeline` many commands, each with its own result or error; `POST /multi-exec` the same as one
 * transaction; `/subscribe/<channel>` server-sent events. `Upstash-Encoding: base64` is honoured.
 * Errors are `{"error": …}`: 400 from Redis or the request, 401, 413, and 503 while Redis is not
 * reachable.
 */
import { timingSafeEqual } from "node:crypto";
import { readCommand, type Command } from "./bridge-command.ts";
import { Connection, isServerError, RedisUnavailable, type Reply } from "./bridge-connection.ts";
import { Feeds } from "./bridge-feed.ts";

export interface Bridge {
  readonly url: string;
  stop(): Promise<void>;
}

export interface BridgeOptions {
  readonly redisUrl: string;
  readonly token: string;
  /** 0, the default, chooses a free one. */
  readonly port?: number;
}

const BODY_LIMIT_BYTES = 8 * 1024 * 1024;
const COMMANDS_LIMIT = 10_000;

export async function startBridge({ redisUrl, token, port = 0 }: BridgeOptions): Promise<Bridge> {
  const expected = Buffer.from(`Bearer ${token}`);
  const redis = new Connection(redisUrl);
  // Transactions have their own connection: a MULTI must not enclose another caller's command.
  const transactions = new Connection(redisUrl);
  const feeds = new Feeds(redisUrl);

  async function answer(request: Request): Promise<Response> {
    const shown = Buffer.from(request.headers.get("authorization") ?? "");
    // The comparison's time may show the token's length, but not its content.
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) {
      return problem(401, "Unauthorized");
    }
    if (Number(request.headers.get("content-length") ?? 0) > BODY_LIMIT_BYTES) {
      return problem(413, `ERR a body is at most ${BODY_LIMIT_BYTES} bytes`);
    }
    const url = new URL(request.url);
    const path = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const encode =
      request.headers.get("upstash-encoding") === "base64" ? toBase64 : (value: unknown) => value;
    const head = path[0] ?? "";

    if (head === "subscribe" && path.length === 2) {
      return new Response(await feeds.subscribe(path[1] ?? ""), {
        headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
      });
    }
    if (head === "pipeline" || head === "multi-exec") {
      const commands = readCommands(await request.json());
      if (typeof commands === "string") return problem(400, commands);
      const replies =
        head === "pipeline" ? await redis.send(commands) : await inTransaction(commands);
      return Array.isArray(replies)
        ? Response.json(replies.map((reply) => encodeReply(reply, encode)))
        : problem(400, replies.error);
    }
    const read = readCommand(await words(request, path));
    if (!read.ok) return problem(400, read.error);
    const [reply] = await redis.send([read.command]);
    if (!reply) throw new RedisUnavailable();
    return "error" in reply ? problem(400, reply.error) : Response.json(encodeReply(reply, encode));
  }

  async function inTransaction(
    commands: readonly Command[],
  ): Promise<Reply[] | { readonly error: string }> {
    const last = (await transactions.send([["MULTI"], ...commands, ["EXEC"]])).at(-1);
    if (!last) throw new RedisUnavailable();
    if ("error" in last) return last;
    return (last.result as readonly unknown[]).map((result) =>
      isServerError(result) ? { error: result.message } : { result },
    );
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    idleTimeout: 0,
    // A little above the limit for announced lengths, so that the refusal can say why.
    maxRequestBodySize: BODY_LIMIT_BYTES + 64 * 1024,
    async fetch(request) {
      try {
        return await answer(request);
      } catch (error) {
        if (error instanceof RedisUnavailable) return problem(503, "Redis is not available");
        if (error instanceof SyntaxError) return problem(400, "ERR the body is not JSON");
        if (error instanceof URIError) return problem(400, "ERR the path is not well encoded");
        return problem(500, "ERR the bridge failed");
      }
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    async stop() {
      feeds.close();
      await server.stop();
      redis.close();
      transactions.close();
    },
  };
}

/**
 * The words of one command: from the body, or from the path with the body, if any, as the last
 * word.
 */
async function words(request: Request, path: readonly string[]): Promise<unknown> {
  if (path[0] === "") return await request.json();
  const body = request.method === "POST" ? await request.text() : "";
  return body === "" ? path : [...path, body];
}

function readCommands(raw: unknown): readonly Command[] | string {
  if (!Array.isArray(raw) || raw.length === 0) return "ERR expected an array of commands";
  if (raw.length > COMMANDS_LIMIT) return `ERR at most ${COMMANDS_LIMIT} commands`;
  const commands: Command[] = [];
  for (const each of raw as readonly unknown[]) {
    const read = readCommand(each);
    if (!read.ok) return read.error;
    commands.push(read.command);
  }
  return commands;
}

function encodeReply(reply: Reply, encode: (value: unknown) => unknown): Reply {
  return "error" in reply ? reply : { result: encode(reply.result) };
}

/** Every string of a reply in base64; an error inside a script's reply becomes its text. */
function toBase64(value: unknown): unknown {
  if (typeof value === "string") return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(toBase64);
  return isServerError(value) ? toBase64(value.message) : value;
}

function problem(status: number, error: string): Response {
  return Response.json({ error }, { status });
}

if (import.meta.main) {
  const {
    FANFARE_REDIS_URL: redisUrl,
    FANFARE_BRIDGE_TOKEN: token,
    FANFARE_BRIDGE_PORT: port,
  } = process.env;
  if (!redisUrl || !token || token.length < 16 || !/^\d{1,5}$/.test(port ?? "")) {
    console.error(
      "configuration: FANFARE_REDIS_URL, FANFARE_BRIDGE_TOKEN (16 characters or more) and FANFARE_BRIDGE_PORT are needed",
    );
    process.exit(2);
  }
  const bridge = await startBridge({ redisUrl, token, port: Number(port) });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      void bridge.stop().then(() => process.exit(0));
    });
  }
  console.log("ready");
}
