/**
 * The records of one machine, in one SQLite file. When a call has resolved, its data are on the
 * disk; several processes may open the same file.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { COLLECTION_NAMES, INDEXES, type CollectionName, type Records } from "../port.ts";
import { column, sqliteCollection } from "./collection.ts";

export function openSqliteRecords(folder: string): Records {
  mkdirSync(folder, { recursive: true });
  const db = new Database(join(folder, "records.sqlite"), { create: true, strict: true });
  // The time limit first: switching a new file to WAL already needs the lock.
  db.run("PRAGMA busy_timeout = 10000");
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.transaction(() => {
    for (const name of COLLECTION_NAMES) createTable(db, name);
  }).immediate();

  return {
    people: sqliteCollection(db, "people"),
    channels: sqliteCollection(db, "channels"),
    hooks: sqliteCollection(db, "hooks"),
    accounts: sqliteCollection(db, "accounts"),
    subscriptions: sqliteCollection(db, "subscriptions"),
    settings: sqliteCollection(db, "settings"),
    stops: sqliteCollection(db, "stops"),
    signals: sqliteCollection(db, "signals"),
    orders: sqliteCollection(db, "orders"),
    async close() {
      db.close();
    },
  };
}

function createTable(db: Database, name: CollectionName): void {
  const { indexed, unique, replaced = [] } = INDEXES[name];
  db.run(
    `CREATE TABLE IF NOT EXISTS ${name} (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID`,
  );
  for (const fields of replaced) db.run(`DROP INDEX IF EXISTS ${[name, ...fields].join("_")}`);
  for (const fields of indexed) {
    db.run(
      `CREATE INDEX IF NOT EXISTS ${[name, ...fields].join("_")} ON ${name} (${fields.map(column).join(", ")})`,
    );
  }
  if (unique !== undefined) {
    // Absent values are NULL, of which SQLite allows any number.
    db.run(`CREATE UNIQUE INDEX IF NOT EXISTS ${name}_${unique} ON ${name} (${column(unique)})`);
  }
}
