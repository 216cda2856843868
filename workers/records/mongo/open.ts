/**
 * The records in MongoDB. What a call has resolved for, a majority holds; no
 * call takes longer than its limit, so that whoever reads a stream can put the
 * batch back and try again.
 */
import { MongoClient, type Db } from "mongodb";
import { COLLECTION_NAMES, INDEXES, type CollectionName, type Records } from "../port.ts";
import { mongoCollection } from "./collection.ts";

/** For each step of a call: to find a server, to get a connection, to be answered. */
const LIMIT_MS = 5_000;
const DATABASE = "fanfare";

/** The database is that of the URI, or `fanfare`. */
export async function openMongoRecords(uri: string, limitMs = LIMIT_MS): Promise<Records> {
  const client = new MongoClient(uri, {
    appName: "fanfare",
    serverSelectionTimeoutMS: limitMs,
    connectTimeoutMS: limitMs,
    waitQueueTimeoutMS: limitMs,
    // The driver's own limit for one command: its `timeoutMS` has no effect any more.
    socketTimeoutMS: limitMs,
    maxPoolSize: 16,
    ignoreUndefined: true,
    writeConcern: { w: "majority", wtimeoutMS: limitMs },
    readConcern: { level: "majority" },
  });
  const db = databaseOf(client, uri);
  try {
    await Promise.all(COLLECTION_NAMES.map((name) => createIndexes(db, name)));
  } catch (error) {
    await client.close();
    throw error;
  }
  return {
    people: mongoCollection(db.collection("people")),
    channels: mongoCollection(db.collection("channels")),
    hooks: mongoCollection(db.collection("hooks")),
    accounts: mongoCollection(db.collection("accounts")),
    subscriptions: mongoCollection(db.collection("subscriptions")),
    signals: mongoCollection(db.collection("signals")),
    orders: mongoCollection(db.collection("orders")),
    async close() {
      await client.close();
    },
  };
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
    await collection.createIndex({ [unique]: 1 }, { unique: true, sparse: true });
  }
}
