/**
 * The records in MongoDB. What a call has resolved for, a majority holds; no
 * call takes longer than its limit, so that whoever reads a stream can put the
 * batch back and try again.
 */
import { MongoClient, MongoServerError, type Db } from "mongodb";
import { COLLECTION_NAMES, INDEXES, type CollectionName, type Records } from "../port.ts";
import { mongoCollection, type Stored } from "./collection.ts";

/** For each step of a call: to find a server, to get a connection, to be answered. */
const STEP_LIMIT_MS = 4_000;
/** For a call as a whole, whatever the driver thinks of it. */
const CALL_LIMIT_MS = 8_000;
const DATABASE = "fanfare";

/** The database is that of the URI, or `fanfare`. */
export async function openMongoRecords(uri: string): Promise<Records> {
  let client = connectTo(uri);
  try {
    const db = databaseOf(client, uri);
    await Promise.all(COLLECTION_NAMES.map((name) => createIndexes(db, name)));
  } catch (error) {
    await client.close();
    throw error;
  }

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

  async function within<R>(call: () => Promise<R>): Promise<R> {
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
  }

  const of = (name: CollectionName) => () => databaseOf(client, uri).collection<Stored>(name);
  return {
    people: mongoCollection(of("people"), within),
    channels: mongoCollection(of("channels"), within),
    hooks: mongoCollection(of("hooks"), within),
    accounts: mongoCollection(of("accounts"), within),
    subscriptions: mongoCollection(of("subscriptions"), within),
    settings: mongoCollection(of("settings"), within),
    signals: mongoCollection(of("signals"), within),
    orders: mongoCollection(of("orders"), within),
    async close() {
      await client.close();
    },
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

async function createIndexes(db: Db, name: CollectionName): Promise<void> {
  const { indexed, unique } = INDEXES[name];
  const collection = db.collection(name);
  for (const fields of indexed) {
    await collection.createIndex(Object.fromEntries(fields.map((field) => [field, 1])));
  }
  if (unique !== undefined) {
    await collection.createIndex({ [unique]: 1 }, { unique: true, sparse: true }, {});
  }
}
