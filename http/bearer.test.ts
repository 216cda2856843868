import { expect, test } from "bun:test";
import { bearerOf } from "./bearer.ts";

test("a header that is no bearer token is told from none", () => {
  expect(bearerOf(undefined)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(bearerOf(null)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(bearerOf("Basic YTpi")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(bearerOf("Bearer two words")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(bearerOf("bearer abc")).toEqual({ ok: true, value: "abc" });
});
