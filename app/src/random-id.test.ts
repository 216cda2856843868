import { expect, test } from "bun:test";
import { randomId } from "./random-id.ts";

test("ids are 32 hexadecimal digits, and differ", () => {
  const ids = Array.from({ length: 1_000 }, randomId);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(ids).size).toBe(ids.length);
});
