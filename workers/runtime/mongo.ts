/**
 * The connection to a MongoDB. When a call has resolved, a majority has its data, and no call takes
 * longer than its limit.
 */
import { MongoBulkWriteError, MongoClient, MongoServerError, type Db } from "mongodb";
import { Unavailable } from "./outage.ts";

export interface Limits {
  /**
   * The limit for each step of a call: finding a server, getting a connection, getting the answer.
   */
  readonly stepMs: number;
  /** The limit for a call as a whole, independent of the driver. */
  readonly callMs: number;
}

const LIMITS: Limits = { stepMs: 4_000, callMs: 8_000 };
const DATABASE = "fanfare";

export interface Mongo {
  /**
   * The current client's database, which changes when the client is replaced. It is the one of the
   * URI, or `fanfare`.
   */
  db(): Db;
  /** Every call to the driver goes through here, which sets its time limit. */
  within<R>(call: () => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

export function connectMongo(uri: string, limits: Limits = LIMITS): Mongo {
  let client = connectTo(uri, limits);
  let answeredAtMs = Date.now();
  /**
   * The driver writes to a socket and, if the socket is full, waits for it to drain, without a
   * limit and without checking whether it was closed. A socket that its peer has ended reports that
   * it is full for a moment before it closes, and never drains. If this happens to the connection
   * by which the driver watches its server, it never looks for the server again, and every call
   * fails. So another client replaces it, and all calls in progress on the old one fail, which
   * their callers must expect anyway.
   */
  function startAnew(wedged: MongoClient): void {
    // The first call that exceeds its limit does it.
    if (wedged !== client) return;
    client = connectTo(uri, limits);
    // The new client gets the same time for an answer.
    answeredAtMs = Date.now();
    // It is given up; its result does not matter.
    void wedged.close().catch(() => undefined);
  }

  return {
    db: () => openDatabase(client, uri),
    async within(call) {
      const asked = client;
      const { promise: limit, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        reject(new Unavailable());
        startAnew(asked);
      }, limits.callMs);
      try {
        const answer = asked.connect().then(call).catch(tellApart(asked));
        const result = await Promise.race([answer, limit]);
        answeredAtMs = Date.now();
        return result;
      } catch (error) {
        if (isAnswer(error)) answeredAtMs = Date.now();
        else if (Date.now() - answeredAtMs > limits.callMs) startAnew(asked);
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => client.close(),
  };
}

/**
 * A bulk write fails with the same error if its documents cannot be written and if the server
 * cannot be reached: the driver drops the difference. So we ask the server whether it answers.
 */
function tellApart(client: MongoClient): (error: unknown) => Promise<never> {
  return async (error) => {
    if (error instanceof MongoBulkWriteError && !isAnswer(error)) {
      await client.db("admin").command({ ping: 1 });
    }
    throw error;
  };
}

/** Only an error from a server has a server's code. */
function isAnswer(error: unknown): boolean {
  return error instanceof MongoServerError && typeof error.code === "number";
}

function connectTo(uri: string, { stepMs }: Limits): MongoClient {
  return new MongoClient(uri, {
    appName: "fanfare",
    serverSelectionTimeoutMS: stepMs,
    connectTimeoutMS: stepMs,
    waitQueueTimeoutMS: stepMs,
    // The driver's own limit for one command: its `timeoutMS` has no effect any more.
    socketTimeoutMS: stepMs,
    maxPoolSize: 16,
    ignoreUndefined: true,
    writeConcern: { w: "majority", wtimeoutMS: stepMs },
    readConcern: { level: "majority" },
  });
}

function openDatabase(client: MongoClient, uri: string): Db {
  const named = /^[^:]+:\/\/[^/]+\/([^?]+)/.exec(uri)?.[1];
  return client.db(named ?? DATABASE);
}
