/**
 * One collection in MongoDB. Every write is a bulk of idempotent upserts that a majority must
 * acknowledge; none needs a session or a transaction.
 */
import {
  MongoBulkWriteError,
  MongoServerError,
  type AnyBulkWriteOperation,
  type Collection as Driver,
  type Filter,
  type WriteError,
} from "mongodb";
import { own } from "../../../domain/own.ts";
import type { Collection, Document, Group, Part, Query, Scalar, Where } from "../port.ts";

const PAGE = 1_000;
/** After this time the server itself stops a query whose caller has given up. */
const READ = { maxTimeMS: 10_000 };
const DUPLICATE_KEY = 11_000;

export type Stored = Record<string, unknown> & { _id: string };

/**
 * Every call to the driver goes through `within`, which sets its time limit; `driver` belongs to
 * the current client.
 */
export function mongoCollection<T extends Document>(
  driver: () => Driver<Stored>,
  within: <R>(call: () => Promise<R>) => Promise<R>,
): Collection<T> {
  /**
   * Returns how many operations found or created their document. An upsert whose condition is false
   * ends as a duplicate key, and so does one that lost the race to create the document. The second
   * try, when the document certainly exists, distinguishes the two.
   */
  async function write(operations: AnyBulkWriteOperation<Stored>[], tries = 2): Promise<number> {
    if (operations.length === 0) return 0;
    try {
      const result = await within(() => driver().bulkWrite(operations, { ordered: false }));
      return result.matchedCount + result.upsertedCount;
    } catch (error) {
      if (!(error instanceof MongoBulkWriteError)) throw error;
      const faults: readonly WriteError[] = Array.isArray(error.writeErrors)
        ? error.writeErrors
        : [error.writeErrors];
      const refused = faults.filter((fault) => fault.code === DUPLICATE_KEY);
      const held = error.result.getWriteConcernError() === undefined;
      if (!held || refused.length === 0 || refused.length < faults.length) throw error;
      const done = error.matchedCount + error.upsertedCount;
      if (tries === 1) return done;
      const again = refused.flatMap(({ index }) => operations[index] ?? []);
      return done + (await write(again, tries - 1));
    }
  }

  async function select(
    filter: Filter<Stored>,
    sort: Readonly<Record<string, number>>,
    limit: number,
  ): Promise<T[]> {
    const found = await within(() =>
      driver()
        .find(filter, READ)
        .sort(sort as Record<string, 1 | -1>)
        .limit(limit)
        .toArray(),
    );
    return found as unknown[] as T[];
  }

  const upsert = (
    part: Part<T>,
    condition: Filter<Stored> = {},
  ): AnyBulkWriteOperation<Stored> => ({
    updateOne: {
      filter: { _id: part._id, ...condition },
      update: { $set: settings(part) },
      upsert: true,
    },
  });

  return {
    async putNewer(documents) {
      return await write(
        documents.map((document) => ({
          replaceOne: {
            filter: { _id: document._id, version: { $lt: document.version } },
            replacement: settings(document),
            upsert: true,
          },
        })),
      );
    },
    async insert(document) {
      try {
        await within(() => driver().insertOne({ ...settings(document), _id: document._id }));
        return true;
      } catch (error) {
        if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return false;
        throw error;
      }
    },
    async merge(parts) {
      await write(parts.map((part) => upsert(part)));
    },
    async mergeWhereAbsent(field, parts) {
      await write(parts.map((part) => upsert(part, { [field]: null })));
    },
    async mergeAtVersion(parts) {
      await write(
        parts.map((part) => ({
          updateOne: {
            filter: { _id: part._id, version: part.version },
            update: { $set: settings(part) },
          },
        })),
      );
    },
    async get(id) {
      return (await select({ _id: id }, { _id: 1 }, 1))[0];
    },
    async find({ where = {}, sort = { field: "_id" }, after, limit = 0 }) {
      const [direction, comparison] = sort.descending === true ? [-1, "$lt"] : [1, "$gt"];
      const filter = toFilter(where);
      return await select(
        after ? { $and: [filter, filterAfter(sort.field, comparison, after)] } : filter,
        { [sort.field]: direction, _id: direction },
        limit,
      );
    },
    async *each(where) {
      // Page by page instead of one long cursor, which a failover would end.
      let after = "";
      for (;;) {
        const page = await select(
          { $and: [toFilter(where), filterAfter("_id", "$gt", { id: after })] },
          { _id: 1 },
          PAGE,
        );
        yield* page;
        if (page.length < PAGE) return;
        after = page.at(-1)?._id ?? "";
      }
    },
    async group({ where, by, sum = [], bounds = [] }) {
      const rows = await within(() =>
        driver()
          .aggregate<{ _id: Record<string, Scalar> } & Record<string, Scalar>>(
            [
              { $match: toFilter(where) },
              {
                $group: {
                  _id: named(by, (field) => ({ $ifNull: [`$${field}`, null] })),
                  count: { $sum: 1 },
                  ...named(sum, (field) => ({ $sum: `$${field}` }), "sum_"),
                  ...named(bounds, (field) => ({ $min: `$${field}` }), "min_"),
                  ...named(bounds, (field) => ({ $max: `$${field}` }), "max_"),
                },
              },
            ],
            READ,
          )
          .toArray(),
      );
      return rows.map(
        (row) =>
          ({
            key: named(by, (field) => own(row._id, field) ?? null),
            count: Number(row["count"]),
            sums: named(sum, (field) => Number(own(row, `sum_${field}`))),
            bounds: named(bounds, (field) => {
              const [min, max] = [
                own(row, `min_${field}`) ?? null,
                own(row, `max_${field}`) ?? null,
              ];
              return min === null ? null : { min: Number(min), max: Number(max) };
            }),
          }) satisfies Group<string, string, string>,
      );
    },
  };
}

function settings(part: Document): Record<string, unknown> {
  const { _id, ...fields } = part;
  return fields;
}

function filterAfter(
  field: string,
  comparison: string,
  { id, value }: NonNullable<Query["after"]>,
): Filter<Stored> {
  const later = { _id: { [comparison]: id } } as Filter<Stored>;
  if (value === undefined) return later;
  return { $or: [{ [field]: { [comparison]: value } }, { [field]: value, ...later }] };
}

function toFilter(where: Where): Filter<Stored> {
  return Object.fromEntries(
    Object.entries(where).map(([field, wanted]) => [
      field,
      typeof wanted === "object" && wanted !== null ? { $in: wanted } : wanted,
    ]),
  ) as Filter<Stored>;
}

function named<Name extends string, Value>(
  names: readonly Name[],
  value: (name: Name) => Value,
  prefix = "",
): Record<Name, Value> {
  return Object.fromEntries(names.map((name) => [`${prefix}${name}`, value(name)])) as Record<
    Name,
    Value
  >;
}
