/**
 * The data of a system as text files: Redis as one line for each key, MongoDB as one line for each
 * document, SQLite as the statements that create it again. A real server writes each, and a real
 * server reads it.
 */
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Redis from "ioredis";
import { BSON, MongoClient } from "mongodb";

/**
 * A key with less time left would expire before an upgrade; an asked quote would come back older
 * than is possible.
 */
const LEAST_TTL_MS = 60_000;
const SQLITE_FILES = ["records", "audit"] as const;

/**
 * `key, time to live, value` with tabs between: the key in base64; the milliseconds left, or `-`;
 * the result of DUMP, in base64. An RDB file would contain times instead of the milliseconds left,
 * and all keys with an expiry would be gone when it is loaded.
 */
export async function saveRedis(url: string, folder: string): Promise<void> {
  const redis = new Redis(url);
  const lines: string[] = [];
  for await (const keys of redis.scanStream({ count: 1_000 })) {
    for (const key of keys as string[]) {
      const [ttlMs, value] = await Promise.all([redis.pttl(key), redis.dumpBuffer(key)]);
      if (ttlMs >= 0 && ttlMs < LEAST_TTL_MS) continue;
      const text = Buffer.from(key).toString("base64");
      lines.push(`${text}\t${ttlMs < 0 ? "-" : ttlMs}\t${value.toString("base64")}`);
    }
  }
  redis.disconnect();
  writeFileSync(join(folder, "redis.tsv"), `${lines.toSorted().join("\n")}\n`);
}

/** Into an empty Redis. */
export async function loadRedis(url: string, folder: string): Promise<void> {
  const redis = new Redis(url);
  const lines = readFileSync(join(folder, "redis.tsv"), "utf8").trimEnd().split("\n");
  for (const line of lines) {
    const [key = "", ttlMs = "", value = ""] = line.split("\t");
    await redis.restore(
      Buffer.from(key, "base64"),
      ttlMs === "-" ? 0 : Number(ttlMs),
      Buffer.from(value, "base64"),
    );
  }
  redis.disconnect();
}

/** `data` is the folder of the files while the system runs; it must not run now. */
export function saveSqlite(data: string, folder: string): void {
  for (const name of SQLITE_FILES) {
    const db = new Database(join(data, `${name}.sqlite`));
    const made = db
      .query<{ name: string; type: string; sql: string }, []>(
        `SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', name`,
      )
      .all();
    const tables = made.filter(({ type }) => type === "table");
    const rows = tables.flatMap((table) =>
      readRows(db, table.name).map((values) => `INSERT INTO ${table.name} VALUES (${values});`),
    );
    const schema = made.map(({ sql }) => `${sql.replaceAll(/\s+/g, " ")};`);
    writeFileSync(join(folder, `${name}.sql`), `${[...schema, ...rows].join("\n")}\n`);
    db.close();
  }
}

/** Each row as SQLite itself would write it, one in each line. */
function readRows(db: Database, table: string): string[] {
  const columns = db.query<{ name: string }, []>(`PRAGMA table_info(${table})`).all();
  const quoted = columns.map(({ name }) => `quote(${name})`).join(` || ', ' || `);
  const found = db.query<{ row: string }, []>(`SELECT ${quoted} AS row FROM ${table}`).all();
  return found.map(({ row }) => row);
}

export function loadSqlite(data: string, folder: string): void {
  mkdirSync(data, { recursive: true });
  for (const name of SQLITE_FILES) {
    const db = new Database(join(data, `${name}.sqlite`), { create: true });
    db.run("PRAGMA journal_mode = WAL");
    for (const statement of readFileSync(join(folder, `${name}.sql`), "utf8")
      .trimEnd()
      .split("\n"))
      db.run(statement);
    db.close();
  }
}

/** Extended JSON, canonical: each value keeps its type. */
export async function saveMongo(uri: string, folder: string): Promise<void> {
  const client = new MongoClient(uri);
  for (const { name } of await client.db().listCollections().toArray()) {
    if (name.startsWith("system.")) continue;
    const documents = await client.db().collection(name).find().sort({ _id: 1 }).toArray();
    const lines = documents.map((each) => BSON.EJSON.stringify(each, { relaxed: false }));
    if (lines.length > 0) writeFileSync(join(folder, `${name}.ejsonl`), `${lines.join("\n")}\n`);
  }
  await client.close();
}

export async function loadMongo(uri: string, folder: string): Promise<void> {
  const client = new MongoClient(uri);
  for (const file of readdirSync(folder).filter((each) => each.endsWith(".ejsonl"))) {
    const lines = readFileSync(join(folder, file), "utf8").trimEnd().split("\n");
    const documents = lines.map(
      (line) => BSON.EJSON.parse(line, { relaxed: false }) as BSON.Document,
    );
    await client
      .db()
      .collection(file.replace(/\.ejsonl$/, ""))
      .insertMany(documents);
  }
  await client.close();
}

/** The releases that have a dump, with the drivers of their records. */
export function dumpsIn(folder: string): { readonly release: string; readonly driver: Driver }[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .flatMap(({ name: release }) =>
      DRIVERS.filter((driver) => existsSync(join(folder, release, driver))).map((driver) => ({
        release,
        driver,
      })),
    );
}

export const DRIVERS = ["sqlite", "mongo"] as const;
export type Driver = (typeof DRIVERS)[number];
