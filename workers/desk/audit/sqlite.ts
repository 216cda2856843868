/**
 * The audit of one machine, in its own SQLite file. Once a call resolves, the data is on
 * the disk.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { MANY_USERS } from "../stored/audit.ts";
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
  type StoredEntry,
} from "./port.ts";

interface Row {
  readonly key: string;
  readonly body: Uint8Array;
}

export function openSqliteAudit(folder: string): AuditStore {
  mkdirSync(folder, { recursive: true });
  const db = new Database(join(folder, "audit.sqlite"), { create: true, strict: true });
  db.run("PRAGMA busy_timeout = 10000");
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.run("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, body BLOB NOT NULL)");
  db.run(
    `CREATE TABLE IF NOT EXISTS minutes (user TEXT, partition INTEGER, minute INTEGER,
     PRIMARY KEY (user, partition, minute)) WITHOUT ROWID`,
  );
  const noted = new NotedMinutes();
  const insertEntry = db.query("INSERT OR IGNORE INTO entries VALUES (?1, ?2)");
  const insertMinute = db.query("INSERT OR IGNORE INTO minutes VALUES (?1, ?2, ?3)");
  const select = db.query<Row, [string, string, number]>(
    "SELECT key, body FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
  );
  const write = db.transaction((entries: readonly StoredEntry[]) => {
    for (const { partition, id, fields } of entries) {
      insertEntry.run(keyOf(partition, id), pack(fields));
    }
    for (const [user, minute, partition] of noted.newIn(entries)) {
      insertMinute.run(user, partition, minute);
    }
  });

  /** Page by page: no read transaction stays open while a log is written. */
  async function* pages(partition: number, from: string, before: string) {
    for (let next = from; ;) {
      const rows = select.all(next, before, PAGE);
      for (const row of rows) yield parseEntry(partition, row);
      if (rows.length < PAGE) return;
      next = `${rows.at(-1)?.key ?? ""}~`;
    }
  }

  return {
    async append(entries) {
      try {
        write.immediate(entries);
      } catch (error) {
        noted.forget();
        throw error;
      }
    },
    async first(partition) {
      const [row] = select.all(...boundsOf({ partition }), 1);
      return row && parseEntry(partition, row);
    },
    async *read(range) {
      const { partition, user } = range;
      if (user === undefined) {
        yield* pages(partition, ...boundsOf(range));
        return;
      }
      const minutes = db
        .query<{ minute: number }, [string, string, number]>(
          `SELECT DISTINCT minute FROM minutes WHERE user IN (?1, ?2) AND partition = ?3
           ORDER BY minute`,
        )
        .all(user, MANY_USERS, partition);
      for (const { minute } of minutes) {
        const bounds = withinMinute(range, minute);
        if (bounds) yield* pages(partition, ...bounds);
      }
    },
    async close() {
      db.close();
    },
  };
}

function parseEntry(partition: number, { key, body }: Row): StoredEntry {
  return { partition, id: idOf(key), fields: unpack(body) };
}
