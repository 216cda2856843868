import { expect, test } from "bun:test";
import { bearerOf } from "./bearer.ts";

test("a missing header and a header without a bearer token have codes of their own", () => {
  expect(bearerOf(undefined)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(bearerOf(null)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(bearerOf("Basic YTpi")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(bearerOf("Bearer two words")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(bearerOf("bearer abc")).toEqual({ ok: true, value: "abc" });
});
