import { expect, test } from "bun:test";
import * as v from "valibot";
import { pageFields, readPage } from "./page.ts";

const ALL = ["a", "b", "c", "d", "e"];

/** Acts as a store: returns up to `limit` items after the cursor. */
async function read(after: string, limit: number): Promise<string[]> {
  return await Promise.resolve(ALL.filter((each) => each > after).slice(0, limit));
}

test("all items are read page by page, each once, and the last page is marked", async () => {
  for (const limit of [1, 2, 4, 5, 6]) {
    const found: string[] = [];
    let after: string | null = "";
    for (let pages = 0; after !== null; pages += 1) {
      expect(pages).toBeLessThan(6);
      const from: string = after;
      const page = await readPage(
        limit,
        (most) => read(from, most),
        (each) => each,
      );
      expect(page.items.length).toBeLessThanOrEqual(limit);
      found.push(...page.items);
      after = page.next;
    }
    expect(found).toEqual(ALL);
  }
  expect(await readPage(3, async () => [], String)).toEqual({ items: [], next: null });
});

test("a page has a standard and a largest size, and a cursor must look like one that was returned", () => {
  const Query = v.strictObject(pageFields(20));
  expect(v.parse(Query, {})).toEqual({ limit: 20 });
  expect(v.parse(Query, { limit: "1000", after: "a-b" })).toEqual({ limit: 1_000, after: "a-b" });
  for (const query of [
    { limit: "0" },
    { limit: "1001" },
    { limit: "-1" },
    { limit: "2.5" },
    { after: "" },
    { after: "a'b" },
  ]) {
    expect(v.is(Query, query)).toBe(false);
  }
  expect(v.is(v.object(pageFields(20, /^\d-\d$/)), { after: "1-2" })).toBe(true);
});
