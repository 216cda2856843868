/**
 * One MongoDB as all that is kept there is reached: a majority holds what a call
 * has resolved for, and no call takes longer than its limit.
 */
import { MongoClient, MongoServerError, type Db } from "mongodb";

/** For each step of a call: to find a server, to get a connection, to be answered. */
const STEP_LIMIT_MS = 4_000;
/** For a call as a whole, whatever the driver thinks of it. */
const CALL_LIMIT_MS = 8_000;
const DATABASE = "fanfare";

export interface Mongo {
  /** As of now: after trouble it is another client's. The database is that of the URI, or `fanfare`. */
  db(): Db;
  /** Every call to the driver goes through here, which sets its time limit. */
  within<R>(call: () => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

export function connectMongo(uri: string): Mongo {
  let client = connectTo(uri);
  let answeredAtMs = Date.now();
  /**
   * A connection that ends or falls silent while a command is being written can
   * leave the driver waiting for good on Bun, past all its own limits, or keep
   * it from ever finding its server again though that is there; closed, such a
   * client does not always come back. So another takes its place, and all calls
   * under way on the old one fail, which their callers must expect anyway.
   */
  function startAnew(wedged: MongoClient): void {
    // Of all calls that run into their limit, the first does it.
    if (wedged !== client) return;
    client = connectTo(uri);
    // It has as long to be answered.
    answeredAtMs = Date.now();
    void wedged.close().catch(() => undefined);
  }

  return {
    db: () => databaseOf(client, uri),
    async within(call) {
      const asked = client;
      const { promise: limit, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        reject(new Error("the records did not answer in time"));
        startAnew(asked);
      }, CALL_LIMIT_MS);
      try {
        const result = await Promise.race([asked.connect().then(call), limit]);
        answeredAtMs = Date.now();
        return result;
      } catch (error) {
        if (error instanceof MongoServerError) answeredAtMs = Date.now();
        else if (Date.now() - answeredAtMs > CALL_LIMIT_MS) startAnew(asked);
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => client.close(),
  };
}

function connectTo(uri: string): MongoClient {
  return new MongoClient(uri, {
    appName: "fanfare",
    serverSelectionTimeoutMS: STEP_LIMIT_MS,
    connectTimeoutMS: STEP_LIMIT_MS,
    waitQueueTimeoutMS: STEP_LIMIT_MS,
    // The driver's own limit for one command: its `timeoutMS` has no effect any more.
    socketTimeoutMS: STEP_LIMIT_MS,
    maxPoolSize: 16,
    ignoreUndefined: true,
    writeConcern: { w: "majority", wtimeoutMS: STEP_LIMIT_MS },
    readConcern: { level: "majority" },
  });
}

function databaseOf(client: MongoClient, uri: string): Db {
  const named = /^[^:]+:\/\/[^/]+\/([^?]+)/.exec(uri)?.[1];
  return client.db(named ?? DATABASE);
}
