/** A desk server: stateless in front of the desk's books, as many side by side as are wanted. */
import { timingSafeEqual } from "node:crypto";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { noteInAudit } from "../stored/note.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { openAudit } from "../audit/open.ts";
import { required, type WorkerEnv } from "../../runtime/env.ts";
import { houseQuotes } from "../quotes/house.ts";
import { auditPaid } from "../quotes/paid.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { commandSockets, type CommandSocket } from "./commands-socket.ts";
import { deskCommands, type DeskCommands } from "./commands.ts";
import { dumpFiles } from "./dump-files.ts";
import { deskApp } from "./http.ts";
import { lane } from "./lane.ts";
import { UserLimits } from "./limits.ts";
import { logPieces, type LogSource } from "./log.ts";
import { lineSender } from "./sender.ts";
import { stockQuotes } from "./stock-quotes.ts";

const NOTE_PATIENCE_MS = 500;
/** The stream of one request may be as long as a day. */
const ANY_LENGTH = Number.MAX_SAFE_INTEGER;

export const role: Role = async (env, stop, ready) => {
  const token = required(env, "FANFARE_DESK_TOKEN");
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const store = await openAudit(env);
  const log: LogSource = { store, redis, partitions };
  const commands = commandsOf(env, redis, partitions, log);
  const app = deskApp({
    server: env.FANFARE_CONSUMER,
    redis,
    partitions,
    token,
    stop,
    commands,
    log,
  });

  const server = Bun.serve({
    hostname: env.FANFARE_HOST,
    port: env.FANFARE_DESK_PORT,
    maxRequestBodySize: ANY_LENGTH,
    async fetch(request, listening) {
      const { pathname, searchParams } = new URL(request.url);
      const session = searchParams.get("session") ?? "";
      const asks = pathname === "/v1/desk/ws" && isBearer(request, token);
      if (asks && (session === "" || ID_PATTERN.test(session))) {
        const data: CommandSocket = { sender: lineSender("", "", session) };
        if (listening.upgrade(request, { data })) return undefined;
      }
      return await app.fetch(request, { server: listening });
    },
    websocket: commandSockets(commands, stop),
  });
  await note(redis, env, "up");
  ready();
  await new Promise<void>((resolve) => {
    stop.addEventListener("abort", () => {
      resolve();
    });
  });
  await server.stop();
  await note(redis, env, "down");
  redis.close();
  await store.close();
};

/** In the audit of the first partition; a server that cannot say so serves all the same. */
async function note(redis: Redis, env: WorkerEnv, what: "up" | "down"): Promise<void> {
  const call = { partition: 0, partitions: env.FANFARE_PARTITIONS, server: env.FANFARE_CONSUMER };
  const noted = run(redis, noteInAudit, { ...call, note: { kind: "system", what } });
  await Promise.race([noted.catch(() => {}), Bun.sleep(NOTE_PATIENCE_MS)]);
}

function commandsOf(
  env: WorkerEnv,
  redis: Redis,
  partitions: PartitionMap,
  log: LogSource,
): DeskCommands {
  const server = env.FANFARE_CONSUMER;
  const files = dumpFiles(env.FANFARE_DATA);
  return deskCommands({
    partitions,
    prices: env.FANFARE_QUOTES_KIND,
    lanes: partitions.all().map((partition) =>
      lane({
        redis,
        partition,
        partitions: partitions.count,
        server,
        pendingValidMs: env.FANFARE_DESK_PENDING_MS,
      }),
    ),
    quotes: stockQuotes({
      source: (onPaid) => houseQuotes(redis, env, onPaid),
      onUnclaimed: (answer) => {
        auditPaid(redis, env, answer);
      },
      now: Date.now,
      streamed: env.FANFARE_QUOTES_SYMBOLS,
    }),
    dump: (user, file) => files.write(user, file, logPieces(log, user)),
    limits: new UserLimits({
      linesPerSecond: env.FANFARE_DESK_LINES_PER_SECOND,
      now: () => performance.now(),
    }),
  });
}

function isBearer(request: Request, token: string): boolean {
  const shown = Buffer.from(request.headers.get("authorization") ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
}
