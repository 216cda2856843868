/**
 * Lists, one page at a time: `?after=&limit=`, and in the answer `next`, which is the `after` of
 * the next page, or null on the last one. A cursor is a position in the order and not a number of
 * rows, so rows that are added meanwhile do not shift it.
 */
import * as v from "valibot";
import { ID_PATTERN } from "../domain/ids.ts";
import { matching } from "./field.ts";

const MAX_LIMIT = 1_000;

/** The query's fields; lists whose cursor is not an id give its pattern. */
export const pageFields = (standardLimit: number, cursor: RegExp = ID_PATTERN) => ({
  after: v.optional(matching(cursor, "must be the `next` of a page")),
  limit: v.pipe(
    v.optional(
      matching(/^([1-9]\d{0,2}|1000)$/, `must be a whole number from 1 to ${MAX_LIMIT}`),
      String(standardLimit),
    ),
    v.transform(Number),
  ),
});

/** The answer's field beside the list. */
export const NEXT = { next: v.nullable(v.string()) };

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** `read` is asked for one more item than is shown, which tells whether there is a next page. */
export async function readPage<T>(
  limit: number,
  read: (limit: number) => Promise<readonly T[]>,
  cursorOf: (item: T) => string,
): Promise<Page<T>> {
  const found = await read(limit + 1);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const next = found.length > limit && last !== undefined ? cursorOf(last) : null;
  return { items, next };
}
