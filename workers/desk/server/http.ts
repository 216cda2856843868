/**
 * The desk's HTTP interface. It keeps no state: any desk server answers any
 * call. A 503, or the 500 of a bug, means that a call may or may not have taken
 * effect; sending it again under the same ids is always safe.
 */
import { getLogger } from "@logtape/logtape";
import type { Server } from "bun";
import { Hono, type Context } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import { DESK_USER_PATTERN } from "../../../domain/desk/command.ts";
import { problemOf, type ErrorCode, type Fault } from "../../../domain/error-codes.ts";
import { nameOf, placeOf } from "../../../http/place.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import { ID_PATTERN, type AccountId } from "../../../domain/ids.ts";
import {
  BalancesSchema,
  CloseBatchSchema,
  DepositsSchema,
  OrderBatchSchema,
  PayoutsSchema,
} from "../../venues/desk/api.ts";
import { listContracts } from "./book.ts";
import { answerLines } from "./commands-http.ts";
import type { CommandSocket } from "./commands-socket.ts";
import type { DeskCommands } from "./commands.ts";
import { balancesOf, depositAll, lookUp, open, PAYOUT_BP } from "./contracts.ts";
import { streamLog, type LogSource } from "./log.ts";
import { eventsAfter, isEventCursor } from "./events.ts";
import { findSold, sell } from "./sales.ts";
import { lineSender } from "./sender.ts";
import { isCursor, settlementsAfter } from "./settlements.ts";
import type { Redis } from "../../runtime/redis.ts";
import { isOutage } from "../../runtime/outage.ts";

const logger = getLogger(["fanfare", "desk"]);

/** A thousand orders with the longest ids. */
const MAX_BODY_BYTES = 512 * 1024;
const SETTLEMENTS_WAIT_MS = 3_000;
const SETTLEMENTS_PAUSE_MS = 100;

export interface Desk {
  /** What the audit calls this server. */
  readonly server: string;
  readonly commands: DeskCommands;
  readonly log: LogSource;
  readonly redis: Redis;
  readonly partitions: PartitionMap;
  readonly token: string;
  readonly stop: AbortSignal;
}

/** What Bun hands to each request. */
interface DeskHono {
  readonly Bindings: { readonly server: Server<CommandSocket> };
}

export function deskApp({
  server,
  redis,
  partitions,
  token,
  stop,
  commands,
  log,
}: Desk): Hono<DeskHono> {
  const app = new Hono<DeskHono>();
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse();
    if (isOutage(error)) return problem(c, "STORE_UNAVAILABLE");
    logger.error("a request failed", { error: nameOf(error), at: placeOf(error) });
    return problem(c, "INTERNAL");
  });
  app.notFound((c) => problem(c, "ROUTE_UNKNOWN"));
  app.get("/healthz", async (c) => {
    await redis.send("PING", []);
    return c.json({ status: "ok" });
  });
  app.use(
    "/v1/*",
    bearerAuth({
      token,
      // The middleware compares hashes, which it would take from other threads, two of them a call.
      hashFunction: (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex"),
      noAuthenticationHeader: { message: problemOf("TOKEN_MISSING") },
      invalidAuthenticationHeader: { message: problemOf("TOKEN_INVALID") },
      invalidToken: { message: problemOf("TOKEN_INVALID") },
    }),
  );
  app.post("/v1/desk/commands", (c) => {
    const session = c.req.header("command-session") ?? "";
    if (session !== "" && !ID_PATTERN.test(session)) return problem(c, "HEADER_INVALID");
    const user = c.req.header("desk-user") ?? "";
    if (user !== "" && !DESK_USER_PATTERN.test(user)) return problem(c, "HEADER_INVALID");
    const name = c.req.header("desk-sender") ?? user;
    if (name !== "" && !ID_PATTERN.test(name)) return problem(c, "HEADER_INVALID");
    // A stream of lines may pause for as long as its sender likes.
    c.env.server.timeout(c.req.raw, 0);
    return answerLines(commands, c.req.raw.body, lineSender(name, user, session), stop);
  });
  app.get("/v1/desk/events", async (c) => {
    const { user = "", after = "" } = c.req.query();
    if (!DESK_USER_PATTERN.test(user) || !isEventCursor(after)) return problem(c, "QUERY_INVALID");
    return c.json(await eventsAfter(log, user, after));
  });
  app.get("/v1/desk/log", (c) => {
    const user = c.req.query("user") ?? "";
    if (user !== "" && !DESK_USER_PATTERN.test(user)) return problem(c, "QUERY_INVALID");
    c.env.server.timeout(c.req.raw, 0);
    return streamLog(log, user);
  });
  app.use(
    "/v1/*",
    bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (c) => problem(c, "BODY_TOO_LARGE") }),
  );
  app.post("/v1/contracts", async (c) => {
    const batch = await bodyOf(c, OrderBatchSchema);
    if ("faults" in batch) return problem(c, batch.code, batch.faults);
    return c.json(await open(redis, partitions, server, batch.value));
  });
  app.post("/v1/contracts/lookup", async (c) => {
    const batch = await bodyOf(c, OrderBatchSchema);
    if ("faults" in batch) return problem(c, batch.code, batch.faults);
    return c.json({ answers: await lookUp(redis, partitions, batch.value) });
  });
  app.post("/v1/contracts/close", async (c) => {
    const batch = await bodyOf(c, CloseBatchSchema);
    if ("faults" in batch) return problem(c, batch.code, batch.faults);
    return c.json({ answers: await sell(redis, partitions, server, batch.value) });
  });
  app.post("/v1/contracts/closed", async (c) => {
    const batch = await bodyOf(c, CloseBatchSchema);
    if ("faults" in batch) return problem(c, batch.code, batch.faults);
    return c.json({ answers: await findSold(redis, partitions, batch.value) });
  });
  app.post("/v1/balances", async (c) => {
    const body = await bodyOf(c, BalancesSchema);
    if ("faults" in body) return problem(c, body.code, body.faults);
    return c.json({ answers: await balancesOf(redis, partitions, body.value.accounts) });
  });
  app.post("/v1/payouts", async (c) => {
    const body = await bodyOf(c, PayoutsSchema);
    if ("faults" in body) return problem(c, body.code, body.faults);
    return c.json({ answers: body.value.symbols.map(() => PAYOUT_BP) });
  });
  app.get("/v1/contracts", async (c) => {
    const { bucket = "", after = "0" } = c.req.query();
    const partition = Number(/^\d{1,4}$/.exec(after)?.[0] ?? Number.NaN);
    if (!ID_PATTERN.test(bucket) || !(partition < partitions.count)) {
      return problem(c, "BODY_INVALID", [
        { path: "", message: "not a bucket, or not a page of it" },
      ]);
    }
    return c.json(await listContracts(redis, partitions, bucket, partition));
  });
  app.post("/v1/deposits", async (c) => {
    const body = await bodyOf(c, DepositsSchema);
    if ("faults" in body) return problem(c, body.code, body.faults);
    return c.json({ applied: await depositAll(redis, partitions, server, body.value.deposits) });
  });
  app.get("/v1/accounts/:account", async (c) => {
    const account = c.req.param("account");
    if (!ID_PATTERN.test(account)) return problem(c, "ROUTE_UNKNOWN");
    const desk = new DeskKeys(partitions.ofAccount(account as AccountId));
    const balance = await redis.send("HGET", [desk.balances, account]);
    return balance === null
      ? problem(c, "ROUTE_UNKNOWN")
      : c.json({ account, balanceCents: Number(balance) });
  });
  app.get("/v1/settlements", async (c) => {
    const after = c.req.query("after") ?? "";
    if (!isCursor(after, partitions)) {
      return problem(c, "BODY_INVALID", [{ path: "after", message: "not a cursor of this desk" }]);
    }
    const giveUpAt = performance.now() + SETTLEMENTS_WAIT_MS;
    for (;;) {
      const found = await settlementsAfter(redis, partitions, after);
      const over = stop.aborted || performance.now() > giveUpAt;
      if (found.settlements.length > 0 || over) return c.json(found);
      await Bun.sleep(SETTLEMENTS_PAUSE_MS);
    }
  });
  return app;
}

function problem(c: Context, code: ErrorCode, faults?: readonly Fault[]): Response {
  const document = problemOf(code, faults);
  return c.json(document, document.status as 400, { "content-type": "application/problem+json" });
}

type Body<T> =
  { readonly value: T } | { readonly code: ErrorCode; readonly faults: readonly Fault[] };

async function bodyOf<T extends v.GenericSchema>(
  c: Context,
  schema: T,
): Promise<Body<v.InferOutput<T>>> {
  let body: unknown;
  try {
    body = await c.req.json();
  } catch {
    // The error would quote the body.
    return { code: "BODY_MALFORMED", faults: [] };
  }
  const parsed = v.safeParse(schema, body);
  if (parsed.success) return { value: parsed.output };
  const faults = parsed.issues.map((issue) => ({
    path: v.getDotPath(issue) ?? "",
    message: `must be ${issue.expected ?? "valid"}`,
  }));
  return { code: "BODY_INVALID", faults };
}
