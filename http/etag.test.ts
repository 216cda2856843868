import { expect, test } from "bun:test";
import { formatEtag, isKnown, readPrecondition } from "./etag.ts";

function refused(headers: Record<string, string>, version: number): string | undefined {
  const read = readPrecondition(new Headers(headers));
  return read.ok ? read.value.refusal(version)?.code : read.code;
}

test("a change that names a version is made at that version only", () => {
  expect(formatEtag(7)).toBe('"7"');
  expect(refused({}, 7)).toBeUndefined();
  for (const tags of ['"7"', '"6", "7"', "*"]) {
    expect(refused({ "if-match": tags }, 7)).toBeUndefined();
    expect(refused({ "if-match": tags }, 0)).toBe("VERSION_STALE");
  }
  // A weak tag says "about this", which is not enough to overwrite it.
  expect(refused({ "if-match": 'W/"7"' }, 7)).toBe("VERSION_STALE");
});

test("a change that requires that nothing exists is refused if something does", () => {
  expect(refused({ "if-none-match": "*" }, 0)).toBeUndefined();
  expect(refused({ "if-none-match": "*" }, 1)).toBe("VERSION_STALE");
  expect(refused({ "if-none-match": 'W/"3"' }, 3)).toBe("VERSION_STALE");
});

test("headers that are not tags are refused", () => {
  for (const tags of ["7", '"7', '"7" "8"', '"7",', "W/7", '"a b"']) {
    expect(refused({ "if-match": tags }, 7)).toBe("HEADER_INVALID");
    expect(refused({ "if-none-match": tags }, 7)).toBe("HEADER_INVALID");
  }
});

test("a reader knows a version by its tag, weak or not", () => {
  const known = (tags: string) => isKnown(new Headers({ "if-none-match": tags }), 7);
  expect(['"7"', 'W/"7"', '"1", "7"', "*"].map(known)).toEqual([true, true, true, true]);
  expect(['"70"', '"1"'].map(known)).toEqual([false, false]);
  expect(isKnown(new Headers(), 7)).toBe(false);
});
