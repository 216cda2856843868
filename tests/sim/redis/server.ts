/**
 * A Redis on a network: connections that keep their order and can drop with commands in flight,
 * blocking reads, and a restart that may lose the tail of the data since the last `fsync`.
 */
import type { Redis } from "../../../workers/runtime/redis.ts";
import type { Random } from "../random.ts";
import type { Process, Scheduler } from "../scheduler.ts";
import { clientReply, Engine } from "./engine.ts";
import { parseReadGroup } from "./streams.ts";
import { RedisError, type Reply, type Store } from "./values.ts";

/** One command in flight. */
interface Request {
  readonly command: string;
  readonly args: string[];
  readonly connection: Connection;
  /** Executed, or dropped before that. */
  isOver: boolean;
  isAnswered: boolean;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Connection {
  readonly process: Process;
  readonly inFlight: Set<Request>;
  lastArrivalUs: number;
  lastReplyUs: number;
}

interface Write {
  readonly atMs: number;
  readonly command: string;
  readonly args: readonly string[];
  /** The identity of the Redis at that time: scripts ask for it. */
  readonly run: Run;
}

export interface Observed {
  readonly command: string;
  readonly args: readonly string[];
  readonly reply: Reply | RedisError;
  readonly process: string;
}

/** `appendfsync everysec` may lose what was written in the last second. */
const FSYNC_MS = 1_000;
const LATENCY_US = { least: 40, most: 900 } as const;

type Run = Store["run"];

export class RedisServer {
  engine = new Engine();
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #observe: (observed: Observed) => void;
  readonly #connections = new Set<Connection>();
  /** Blocked reads, in the order of their arrival. */
  #blocked: Request[] = [];
  /** The append-only file. */
  #log: Write[] = [];
  #upAtUs = 0;

  constructor(scheduler: Scheduler, random: Random, observe: (observed: Observed) => void) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#observe = observe;
    this.#startRun();
  }

  /** What `INFO` reports about this start of the server. */
  #startRun(): void {
    this.engine.store.run = { id: this.#random.hex(40), startedAtMs: this.#scheduler.nowMs() };
  }

  connect(process: Process): Redis {
    const connection: Connection = {
      process,
      inFlight: new Set(),
      lastArrivalUs: 0,
      lastReplyUs: 0,
    };
    this.#connections.add(connection);
    return {
      send: (command, args) =>
        new Promise((resolve, reject) => {
          const flags = { isOver: false, isAnswered: false };
          const request = { command, args, connection, ...flags, resolve, reject };
          connection.inFlight.add(request);
          const earliest = this.#scheduler.nowUs + this.#latencyUs();
          connection.lastArrivalUs = Math.max(connection.lastArrivalUs, earliest);
          this.#scheduler.at(connection.lastArrivalUs, () => this.#arrive(request));
        }),
      close: () => this.#connections.delete(connection),
    };
  }

  /** The kernel closes its connections: no reader waits for an entry any more. */
  forget(process: Process): void {
    for (const connection of this.#connections) {
      if (connection.process === process) this.#connections.delete(connection);
    }
    this.#blocked = this.#blocked.filter(({ connection }) => connection.process !== process);
  }

  /**
   * Drops the connections of a process: commands in flight may have taken effect, or may still do
   * so.
   */
  drop(process: Process): void {
    for (const connection of this.#connections) {
      if (connection.process === process) this.#break(connection, 0.5);
    }
  }

  /** `kill -9` and a start, which may lose the last unsynced data. */
  restart(downMs: number, losesTail: boolean): void {
    const nowMs = this.#scheduler.nowMs();
    for (const connection of this.#connections) this.#break(connection, 0);
    this.#blocked = [];
    this.#upAtUs = this.#scheduler.nowUs + downMs * 1_000;
    const synced = this.#log.filter(({ atMs }) => atMs <= nowMs - FSYNC_MS).length;
    if (losesTail) {
      this.#log = this.#log.slice(0, this.#random.between(synced, this.#log.length));
    }
    this.engine = new Engine();
    for (const write of this.#log) this.#replay(write);
    this.engine.forgetScripts();
    this.#startRun();
  }

  #replay({ command, args, atMs, run }: Write): void {
    this.engine.store.run = run;
    try {
      this.engine.execute(command, args, atMs);
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
    }
  }

  /** Sent commands may still arrive if the server is alive. */
  #break(connection: Connection, mayArrive: number): void {
    for (const request of connection.inFlight) {
      if (!request.isOver && !this.#random.chance(mayArrive)) request.isOver = true;
      request.isAnswered = true;
      connection.process.step(this.#scheduler.nowUs, () => {
        request.reject(new Error("Connection closed"));
      });
    }
    connection.inFlight.clear();
    this.#blocked = this.#blocked.filter((each) => each.connection !== connection);
  }

  #latencyUs(): number {
    return this.#random.between(LATENCY_US.least, LATENCY_US.most);
  }

  #arrive(request: Request): void {
    if (request.isOver) return;
    if (this.#scheduler.nowUs < this.#upAtUs) {
      this.#scheduler.at(this.#upAtUs, () => this.#arrive(request));
      return;
    }
    const writes = this.#log.length;
    const reply = this.#execute(request);
    if (reply !== undefined) {
      request.isOver = true;
      this.#answer(request, reply);
    } else if (!request.isAnswered) this.#block(request);
    if (this.#log.length > writes) this.#serveBlocked();
  }

  /** Undefined for a read that has to wait. */
  #execute({ command, args, connection }: Request): Reply | RedisError | undefined {
    const nowMs = this.#scheduler.nowMs();
    let reply: Reply | RedisError;
    let changed = true;
    try {
      ({ reply, changed } = this.engine.execute(command, args, nowMs));
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      reply = error;
      // The writes of a script that failed half-way stay.
      changed = command.startsWith("EVAL") && !error.message.startsWith("NOSCRIPT");
    }
    if (changed) {
      const lua = command === "EVALSHA" ? this.engine.textOf(args[0] ?? "") : undefined;
      const { run } = this.engine.store;
      if (lua === undefined) this.#log.push({ atMs: nowMs, command, args, run });
      else this.#log.push({ atMs: nowMs, command: "EVAL", args: [lua, ...args.slice(1)], run });
    }
    const waits = command === "XREADGROUP" && reply === null;
    this.#observe({ command, args, reply, process: connection.process.name });
    return waits && parseReadGroup(args).blockMs !== undefined ? undefined : reply;
  }

  #block(request: Request): void {
    this.#blocked.push(request);
    this.#scheduler.after((parseReadGroup(request.args).blockMs ?? 0) * 1_000, () => {
      const before = this.#blocked.length;
      this.#blocked = this.#blocked.filter((each) => each !== request);
      if (this.#blocked.length < before) this.#answer(request, null);
    });
  }

  #serveBlocked(): void {
    for (const request of this.#blocked) {
      const reply = this.#execute(request);
      if (reply === undefined) continue;
      this.#blocked = this.#blocked.filter((each) => each !== request);
      this.#answer(request, reply);
    }
  }

  #answer(request: Request, reply: Reply | RedisError): void {
    const { connection } = request;
    request.isOver = true;
    if (request.isAnswered) return;
    const earliest = this.#scheduler.nowUs + this.#latencyUs();
    connection.lastReplyUs = Math.max(connection.lastReplyUs, earliest);
    connection.process.step(connection.lastReplyUs, () => {
      // Its connection has dropped meanwhile.
      if (request.isAnswered) return;
      request.isAnswered = true;
      connection.inFlight.delete(request);
      if (reply instanceof RedisError) request.reject(reply);
      else request.resolve(clientReply(reply));
    });
  }
}
