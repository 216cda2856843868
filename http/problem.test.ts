import { expect, test } from "bun:test";
import { failure } from "../domain/result.ts";
import { problemResponse } from "./problem.ts";

test("a failure is a problem document with its stable code, its action and its faults", async () => {
  const faults = [{ path: "limit", message: "must be a number" }];
  const response = problemResponse(failure("QUERY_INVALID", faults), { allow: "GET" });
  expect([response.status, response.headers.get("content-type")]).toEqual([
    400,
    "application/problem+json",
  ]);
  expect(response.headers.get("allow")).toBe("GET");
  expect(await response.json()).toEqual({
    type: "https://fanfare.dev/problems/query-invalid",
    title: "A query parameter is unknown or has a value that cannot be used.",
    status: 400,
    code: "QUERY_INVALID",
    detail: "See `faults` for the parameter and its allowed values.",
    faults,
  });
});

test("a retryable problem says when to retry, and one that needs a token says so", () => {
  const header = (code: Parameters<typeof failure>[0], name: string) =>
    problemResponse(failure(code)).headers.get(name);
  expect(header("BACKLOG_FULL", "retry-after")).toBe("1");
  expect(header("CHANGES_LIMITED", "retry-after")).toBe("60");
  expect(header("INTERNAL", "retry-after")).toBeNull();
  expect(header("TOKEN_MISSING", "www-authenticate")).toBe('Bearer realm="fanfare"');
  expect(header("TOKEN_SCOPE", "www-authenticate")).toBeNull();
});
