import { expect, test } from "bun:test";
import { parseBearer } from "./bearer.ts";

test("a missing header and a header without a bearer token have codes of their own", () => {
  expect(parseBearer(undefined)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(parseBearer(null)).toMatchObject({ code: "TOKEN_MISSING" });
  expect(parseBearer("Basic YTpi")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(parseBearer("Bearer two words")).toMatchObject({ code: "TOKEN_INVALID" });
  expect(parseBearer("bearer abc")).toEqual({ ok: true, value: "abc" });
});
