import { expect, test } from "bun:test";
import { readIdempotencyKey } from "./idempotency-key.ts";

test("a key is 1 to 255 visible characters, or absent", () => {
  const read = (value?: string) =>
    readIdempotencyKey(new Headers(value === undefined ? {} : { "idempotency-key": value }));
  expect(read()).toEqual({ ok: true, value: undefined });
  expect(read("order/7~!")).toEqual({ ok: true, value: "order/7~!" });
  expect(read("k".repeat(255)).ok).toBe(true);
  for (const wrong of ["", "k".repeat(256), "a b", "ké"]) {
    expect(read(wrong)).toMatchObject({
      code: "HEADER_INVALID",
      faults: [{ path: "Idempotency-Key" }],
    });
  }
});
