/**
 * The records in MongoDB. When a call has resolved, a majority has the data. No call takes longer
 * than its limit, so that a reader of a stream can put the batch back and try again.
 */
import type { Db } from "mongodb";
import { COLLECTION_NAMES, INDEXES, type CollectionName, type Records } from "../port.ts";
import { connectMongo } from "../../runtime/mongo.ts";
import { mongoCollection, type Stored } from "./collection.ts";

/** The database is that of the URI, or `fanfare`. */
export async function openMongoRecords(uri: string): Promise<Records> {
  const mongo = connectMongo(uri);
  try {
    await Promise.all(COLLECTION_NAMES.map((name) => createIndexes(mongo.db(), name)));
  } catch (error) {
    await mongo.close();
    throw error;
  }
  const of = (name: CollectionName) => () => mongo.db().collection<Stored>(name);
  const { within } = mongo;
  return {
    people: mongoCollection(of("people"), within),
    channels: mongoCollection(of("channels"), within),
    hooks: mongoCollection(of("hooks"), within),
    accounts: mongoCollection(of("accounts"), within),
    subscriptions: mongoCollection(of("subscriptions"), within),
    settings: mongoCollection(of("settings"), within),
    stops: mongoCollection(of("stops"), within),
    signals: mongoCollection(of("signals"), within),
    orders: mongoCollection(of("orders"), within),
    close: () => mongo.close(),
  };
}

async function createIndexes(db: Db, name: CollectionName): Promise<void> {
  const { indexed, unique, replaced = [] } = INDEXES[name];
  const collection = db.collection(name);
  for (const fields of indexed) {
    await collection.createIndex(Object.fromEntries(fields.map((field) => [field, 1])));
  }
  for (const fields of replaced) {
    const old = fields.map((field) => `${field}_1`).join("_");
    // It exists at most once, and costs a little space if it cannot be dropped.
    await collection.dropIndex(old).catch(() => undefined);
  }
  if (unique !== undefined) {
    await collection.createIndex({ [unique]: 1 }, { unique: true, sparse: true }, {});
  }
}
