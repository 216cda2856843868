/**
 * The audit in MongoDB, possibly on a server of its own. Once a call resolves, a majority
 * has stored the data.
 */
import { Binary, MongoBulkWriteError } from "mongodb";
import { MANY_USERS } from "../stored/audit.ts";
import { connectMongo } from "../../runtime/mongo.ts";
import {
  boundsOf,
  idOf,
  keyOf,
  NotedMinutes,
  pack,
  PAGE,
  unpack,
  withinMinute,
  type AuditStore,
} from "./port.ts";

const DUPLICATE_KEY = 11_000;

interface EntryDocument {
  readonly _id: string;
  readonly body: Binary;
}

interface MinuteDocument {
  readonly _id: string;
  readonly user: string;
  readonly partition: number;
  readonly minute: number;
}

/** The database is that of the URI, or `fanfare`. */
export async function openMongoAudit(uri: string): Promise<AuditStore> {
  const mongo = connectMongo(uri);
  const entriesOf = () => mongo.db().collection<EntryDocument>("audit");
  const minutesOf = () => mongo.db().collection<MinuteDocument>("auditMinutes");
  try {
    await minutesOf().createIndex({ user: 1, partition: 1, minute: 1 });
  } catch (error) {
    await mongo.close();
    throw error;
  }
  const lately = new NotedMinutes();

  async function* pages(partition: number, from: string, before: string) {
    for (let next = from; ;) {
      const range = { _id: { $gte: next, $lt: before } };
      const found = await mongo.within(() =>
        entriesOf().find(range).sort({ _id: 1 }).limit(PAGE).toArray(),
      );
      for (const { _id, body } of found) {
        yield { partition, id: idOf(_id), fields: unpack(body.buffer) };
      }
      if (found.length < PAGE) return;
      next = `${found.at(-1)?._id ?? ""}~`;
    }
  }

  return {
    async append(entries) {
      if (entries.length === 0) return;
      try {
        // The notes are written first: every stored entry is found under its users.
        const minutes = lately.newIn(entries).map(([user, minute, partition]) => ({
          _id: `${user} ${partition} ${minute}`,
          user,
          partition,
          minute,
        }));
        if (minutes.length > 0) {
          await onceEach(() =>
            mongo.within(() => minutesOf().insertMany(minutes, { ordered: false })),
          );
        }
        const documents = entries.map(({ partition, id, fields }) => ({
          _id: keyOf(partition, id),
          body: new Binary(pack(fields)),
        }));
        await onceEach(() =>
          mongo.within(() => entriesOf().insertMany(documents, { ordered: false })),
        );
      } catch (error) {
        lately.forget();
        throw error;
      }
    },
    async first(partition) {
      const [from, before] = boundsOf({ partition });
      const range = { _id: { $gte: from, $lt: before } };
      const found = await mongo.within(() => entriesOf().findOne(range, { sort: { _id: 1 } }));
      return found
        ? { partition, id: idOf(found._id), fields: unpack(found.body.buffer) }
        : undefined;
    },
    async *read(range) {
      const { partition, user } = range;
      if (user === undefined) {
        yield* pages(partition, ...boundsOf(range));
        return;
      }
      const wanted = { user: { $in: [user, MANY_USERS] }, partition };
      const noted = await mongo.within(() =>
        minutesOf().find(wanted).sort({ minute: 1 }).toArray(),
      );
      for (const minute of new Set(noted.map((each) => each.minute))) {
        const bounds = withinMinute(range, minute);
        if (bounds) yield* pages(partition, ...bounds);
      }
    },
    close: () => mongo.close(),
  };
}

/** An entry that exists was written before, and is the same. */
async function onceEach(insert: () => Promise<unknown>): Promise<void> {
  try {
    await insert();
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const faults = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
    const held = error.result.getWriteConcernError() === undefined;
    if (!held || faults.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
  }
}
