/**
 * One collection as one SQLite table: `id`, and the document as JSON in `doc`. Several processes
 * may open the same file; each call is one statement or one transaction, so another process sees
 * all of a batch or nothing.
 */
import { SQLiteError, type Database, type SQLQueryBindings } from "bun:sqlite";
import type { Collection, Document, Group, Part, Query, Scalar } from "../port.ts";

/** How many documents `each` reads at a time: no read transaction stays open between pages. */
const PAGE = 1_000;
const BY_ID: NonNullable<Query["sort"]> = { field: "_id" };

export function sqliteCollection<T extends Document>(db: Database, table: string): Collection<T> {
  function write(sql: (part: Part<T>) => string, parts: readonly Part<T>[]): number {
    if (parts.length === 0) return 0;
    // Immediate, so that it waits for a busy file at the start and is never refused half-way.
    return db
      .transaction(() => {
        let changed = 0;
        for (const part of parts) changed += writeOne(sql(part), part);
        return changed;
      })
      .immediate();
  }

  /** A refused statement undoes only itself, and the transaction continues. */
  function writeOne(sql: string, part: Part<T>): number {
    try {
      return db.query(sql).run(part._id, JSON.stringify(part)).changes;
    } catch (error) {
      if (error instanceof SQLiteError && error.code === "SQLITE_CONSTRAINT_UNIQUE") return 0;
      throw error;
    }
  }

  function select(query: Query): T[] {
    const filter = conditions(query);
    const { field, descending } = query.sort ?? BY_ID;
    const order = [...new Set([field, "_id"])]
      .map((each) => `${column(each)} ${descending === true ? "DESC" : "ASC"}`)
      .join(", ");
    const limit = query.limit === undefined ? "" : ` LIMIT ${Math.trunc(query.limit)}`;
    return db
      .query<{ doc: string }, SQLQueryBindings[]>(
        `SELECT doc FROM ${table}${filter.sql} ORDER BY ${order}${limit}`,
      )
      .all(...filter.values)
      .map(({ doc }) => JSON.parse(doc) as T);
  }

  const inserted = `INSERT INTO ${table} (id, doc) VALUES (?1, ?2)`;
  const upsert = (part: Part<T>, condition = ""): string =>
    `${inserted} ON CONFLICT (id) DO UPDATE SET doc = json_set(doc${settings(part)})${condition}`;

  return {
    async putNewer(documents) {
      const sql = `${inserted} ON CONFLICT (id) DO UPDATE SET doc = excluded.doc
                   WHERE json_extract(excluded.doc, '$.version') > ${column("version")}`;
      return write(() => sql, documents);
    },
    async insert(document) {
      return write(() => `${inserted} ON CONFLICT DO NOTHING`, [document]) === 1;
    },
    async merge(parts) {
      write((part) => upsert(part), parts);
    },
    async mergeWhereAbsent(field, parts) {
      write((part) => upsert(part, ` WHERE ${column(field)} IS NULL`), parts);
    },
    async mergeAtVersion(parts) {
      const sql = (part: Part<T>): string =>
        `UPDATE ${table} SET doc = json_set(doc${settings(part)})
         WHERE id = ?1 AND ${column("version")} = json_extract(?2, '$.version')`;
      write(sql, parts);
    },
    async get(id) {
      return select({ where: { _id: id } })[0];
    },
    async find(query) {
      return select(query);
    },
    async *each(where) {
      let after: Query["after"];
      for (;;) {
        const page = select({ where, limit: PAGE, after });
        yield* page;
        if (page.length < PAGE) return;
        after = { id: page.at(-1)?._id ?? "" };
      }
    },
    async group({ where, by, sum = [], bounds = [] }) {
      const filter = conditions({ where });
      const columns = [
        ...by.map(column),
        "count(*)",
        ...sum.map((field) => `total(${column(field)})`),
        ...bounds.flatMap((field) => [`min(${column(field)})`, `max(${column(field)})`]),
      ];
      const grouped = by.length === 0 ? "" : ` GROUP BY ${by.map(column).join(", ")}`;
      const rows = db
        .query<unknown, SQLQueryBindings[]>(
          `SELECT ${columns.join(", ")} FROM ${table}${filter.sql}${grouped}`,
        )
        .values(...filter.values) as Scalar[][];
      return rows
        .map((row) => {
          const values = row.values();
          const next = (): Scalar => values.next().value ?? null;
          return {
            key: record(by, next),
            count: Number(next()),
            sums: record(sum, () => Number(next())),
            bounds: record(bounds, () => {
              const [min, max] = [next(), next()];
              return min === null ? null : { min: Number(min), max: Number(max) };
            }),
          } satisfies Group<string, string, string>;
        })
        .filter(({ count }) => count > 0);
    },
  };
}

/** Each field of a part, whole, from its JSON in `?2`: values are replaced, never merged into one another. */
function settings(part: Document): string {
  return Object.entries(part)
    .filter(([field, value]) => field !== "_id" && value !== undefined)
    .map(([field]) => `, '$.${plain(field)}', ?2 -> '$.${plain(field)}'`)
    .join("");
}

/**
 * The expression is the same as in the indexes: SQLite uses an index on an expression only for the
 * same expression.
 */
export function column(field: string): string {
  return field === "_id" ? "id" : `json_extract(doc, '$.${plain(field)}')`;
}

/** Field names come from our own types; one that is not a plain word is a bug, not a query. */
function plain(field: string): string {
  if (!/^[A-Za-z0-9]+$/.test(field)) throw new TypeError("not a field name");
  return field;
}

function conditions({ where = {}, sort = BY_ID, after }: Query): {
  sql: string;
  values: SQLQueryBindings[];
} {
  const terms: string[] = [];
  const values: SQLQueryBindings[] = [];
  for (const [field, wanted] of Object.entries(where)) {
    if (wanted === null) terms.push(`${column(field)} IS NULL`);
    else if (typeof wanted === "object") {
      terms.push(`${column(field)} IN (SELECT value FROM json_each(?))`);
      values.push(JSON.stringify(wanted));
    } else {
      terms.push(`${column(field)} = ?`);
      values.push(typeof wanted === "boolean" ? Number(wanted) : wanted);
    }
  }
  if (after !== undefined) {
    const comparison = sort.descending === true ? "<" : ">";
    if (after.value === undefined) {
      terms.push(`id ${comparison} ?`);
      values.push(after.id);
    } else {
      terms.push(`(${column(sort.field)}, id) ${comparison} (?, ?)`);
      values.push(after.value, after.id);
    }
  }
  return { sql: terms.length === 0 ? "" : ` WHERE ${terms.join(" AND ")}`, values };
}

function record<Name extends string, Value>(
  names: readonly Name[],
  value: () => Value,
): Record<Name, Value> {
  return Object.fromEntries(names.map((name) => [name, value()])) as Record<Name, Value>;
}
