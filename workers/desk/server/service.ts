/** What the operations of a desk server share: their settings and their stores. */
import type { Server } from "bun";
import type { Context } from "hono";
import type * as v from "valibot";
import type { Bearer } from "../../../http/bearer.ts";
import { json, type Body } from "../../../http/body.ts";
import type { SocketLines } from "../../../http/line-socket.ts";
import type { Service } from "../../../http/service.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { AuditStore } from "../audit/port.ts";
import type { DeskCommands } from "./commands.ts";
import type { LineSender } from "./sender.ts";

export type DeskService = Service<Bearer>;

/** The store from which the audit is read. */
export interface LogSource {
  readonly store: AuditStore;
  readonly redis: Redis;
  readonly partitions: PartitionMap;
}

export interface Desk {
  /** The server name in the audit. */
  readonly server: string;
  readonly commands: DeskCommands;
  readonly log: LogSource;
  readonly redis: Redis;
  readonly partitions: PartitionMap;
  readonly token: string;
  readonly stop: AbortSignal;
}

/** A thousand orders with the longest ids. */
const MAX_BODY_BYTES = 512 * 1024;

export function batch<Schema extends v.GenericSchema>(schema: Schema): Body<v.InferOutput<Schema>> {
  return json(schema, { maxBytes: MAX_BODY_BYTES, lenient: true });
}

/** What the server stores with each socket of commands. */
export interface CommandSocket {
  readonly sender: LineSender;
  /** Set once the socket is open. */
  lines?: SocketLines;
}

/** What Bun passes to each request. */
export function serverOf({ env }: Context): Server<CommandSocket> {
  return env as Server<CommandSocket>;
}
