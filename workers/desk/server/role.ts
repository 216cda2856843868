/** A desk server: stateless, in front of the desk's books. Any number may run side by side. */
import { noteInAudit } from "../stored/note.ts";
import { openAudit } from "../audit/open.ts";
import { nameOf } from "../../../http/place.ts";
import { houseQuotes } from "../quotes/house.ts";
import { auditPaid, paidQuotes } from "../quotes/paid.ts";
import type { Role, RoleContext } from "../../runtime/role.ts";
import { run } from "../../runtime/redis.ts";
import { commandSockets } from "./commands-socket.ts";
import { deskCommands, type DeskCommands } from "./commands.ts";
import { DeskEnv, type DeskSettings } from "./env.ts";
import { dumpFiles } from "./dump-files.ts";
import { deskApp } from "./http.ts";
import { lane } from "./lane.ts";
import { findLost } from "./lost.ts";
import { UserLimits } from "./limits.ts";
import { logPieces } from "./log.ts";
import type { CommandSocket, LogSource } from "./service.ts";
import { stockQuotes } from "./stock-quotes.ts";

const NOTE_PATIENCE_MS = 500;
/** The stream of one request may last a day. */
const ANY_LENGTH = Number.MAX_SAFE_INTEGER;

export const role: Role<typeof DeskEnv> = { settings: DeskEnv, run: serve };

async function serve(context: RoleContext<DeskSettings>): Promise<void> {
  const { settings, connections, stop, ready } = context;
  const { FANFARE_DESK_TOKEN: token } = settings;
  const { redis, partitions } = connections;
  const store = await openAudit(settings);
  const lost = await findLost(redis, store, partitions);
  if (lost.length > 0) {
    context.log.error(
      "Redis has lost the accounts of partitions {lost}: commands are refused until desk:restore has rebuilt them",
      { lost: lost.join(", ") },
    );
  }
  const log: LogSource = { store, redis, partitions };
  const commands = buildCommands(context, log);
  const app = deskApp({
    server: settings.FANFARE_CONSUMER,
    redis,
    partitions,
    token,
    stop,
    commands,
    log,
  });

  const server = Bun.serve<CommandSocket>({
    hostname: settings.FANFARE_HOST,
    port: settings.FANFARE_DESK_PORT,
    maxRequestBodySize: ANY_LENGTH,
    fetch: (request, bun) => app.fetch(request, bun),
    websocket: commandSockets(commands, stop),
  });
  await note(context, "up");
  ready();
  await new Promise<void>((resolve) => {
    stop.addEventListener("abort", () => {
      resolve();
    });
  });
  await server.stop();
  await note(context, "down");
  await store.close();
}

/** Writes into the audit of the first partition. If that fails, the server still starts. */
async function note(
  { settings, connections, clock, log }: RoleContext<DeskSettings>,
  what: "up" | "down",
): Promise<void> {
  const { redis, partitions } = connections;
  const call = { partition: 0, partitions: partitions.count, server: settings.FANFARE_CONSUMER };
  const noted = run(redis, noteInAudit, { ...call, note: { kind: "system", what } }).catch(
    (error: unknown) => {
      log.warn("{what} is missing in the audit: {error}", { what, error: nameOf(error) });
    },
  );
  await Promise.race([noted, clock.sleep(NOTE_PATIENCE_MS)]);
}

function buildCommands(
  { settings, connections, clock, metrics }: RoleContext<DeskSettings>,
  log: LogSource,
): DeskCommands {
  const files = dumpFiles(settings.FANFARE_DATA);
  const { redis, partitions } = connections;
  const server = settings.FANFARE_CONSUMER;
  const paid = paidQuotes(metrics);
  return deskCommands({
    partitions,
    prices: settings.FANFARE_QUOTES_KIND,
    lanes: partitions.all().map((partition) =>
      lane({
        redis,
        partition,
        partitions: partitions.count,
        server,
        pendingValidMs: settings.FANFARE_DESK_PENDING_MS,
      }),
    ),
    quotes: stockQuotes({
      source: (onPaid) =>
        houseQuotes(redis, settings, {
          onPaid,
          onBilled: () => {
            paid.inc();
          },
        }),
      onUnclaimed: (answer) => {
        auditPaid(redis, { partitions, server }, answer);
      },
      now: clock.nowMs,
      streamed: settings.FANFARE_QUOTES_SYMBOLS,
    }),
    dump: (user, file) => files.write(user, file, logPieces(log, user)),
    limits: new UserLimits({
      linesPerSecond: settings.FANFARE_DESK_LINES_PER_SECOND,
      now: () => performance.now(),
    }),
  });
}
