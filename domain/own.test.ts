import { expect, test } from "bun:test";
import { own } from "./own.ts";

test("a name is found among the object's own properties, never among inherited ones", () => {
  const parsed = JSON.parse('{"a":1,"__proto__":2}') as Record<string, number>;
  expect([own(parsed, "a"), own(parsed, "__proto__")]).toEqual([1, 2]);
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty", "b"]) {
    expect(own({ a: 1 }, name)).toBeUndefined();
  }
});
