/**
 * One MongoDB as all that is kept there is reached: a majority holds what a call
 * has resolved for, and no call takes longer than its limit.
 */
import { MongoBulkWriteError, MongoClient, MongoServerError, type Db } from "mongodb";
import { Unavailable } from "./outage.ts";

export interface Limits {
  /** For each step of a call: to find a server, to get a connection, to be answered. */
  readonly stepMs: number;
  /** For a call as a whole, whatever the driver thinks of it. */
  readonly callMs: number;
}

const LIMITS: Limits = { stepMs: 4_000, callMs: 8_000 };
const DATABASE = "fanfare";

export interface Mongo {
  /** As of now: after trouble it is another client's. The database is that of the URI, or `fanfare`. */
  db(): Db;
  /** Every call to the driver goes through here, which sets its time limit. */
  within<R>(call: () => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

export function connectMongo(uri: string, limits: Limits = LIMITS): Mongo {
  let client = connectTo(uri, limits);
  let answeredAtMs = Date.now();
  /**
   * The driver writes to a socket and, told that it is full, waits for it to
   * drain, without a limit and without looking whether it was closed. A socket
   * that its peer has ended says so for a moment before it closes, and never
   * drains. Where that befalls the connection that the driver watches its
   * server by, it never looks for the server again, and every call fails. So
   * another client takes its place, and all calls under way on the old one fail,
   * which their callers must expect anyway.
   */
  function startAnew(wedged: MongoClient): void {
    // Of all calls that run into their limit, the first does it.
    if (wedged !== client) return;
    client = connectTo(uri, limits);
    // It has as long to be answered.
    answeredAtMs = Date.now();
    // It is given up; how it ends is of no interest.
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
 * A bulk write fails with the same error whether its documents cannot be
 * written or the server cannot be reached: the driver drops what tells the two
 * apart. So the server is asked whether it is there.
 */
function tellApart(client: MongoClient): (error: unknown) => Promise<never> {
  return async (error) => {
    if (error instanceof MongoBulkWriteError && !isAnswer(error)) {
      await client.db("admin").command({ ping: 1 });
    }
    throw error;
  };
}

/** Only what a server said has its code. */
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
