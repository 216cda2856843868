import { describe, expect, test } from "bun:test";
import { ERRORS, problemOf, type ErrorCode } from "./error-codes.ts";

const CODES = Object.keys(ERRORS) as ErrorCode[];

describe("a problem document", () => {
  test.each(CODES)("of %s names its code and says what happened and what to do", (code) => {
    const problem = problemOf(code);
    expect(problem.code).toBe(code);
    expect(problem.status).toBeGreaterThanOrEqual(400);
    expect(problem.status).toBeLessThan(600);
    expect(problem.title).toEndWith(".");
    expect(problem.detail).toEndWith(".");
  });

  test("has an address of its own for each code", () => {
    expect(problemOf("GRANT_MISSING").type).toBe("https://fanfare.dev/problems/grant-missing");
    expect(new Set(CODES.map((code) => problemOf(code).type)).size).toBe(CODES.length);
  });

  test("lists faults where there are any, and has no empty list", () => {
    const faults = [{ path: "symbol", message: "is missing" }];
    expect(problemOf("BODY_INVALID", faults).faults).toEqual(faults);
    expect(problemOf("BODY_INVALID", [])).not.toHaveProperty("faults");
    expect(problemOf("BODY_INVALID")).not.toHaveProperty("faults");
  });
});

test("a code is a category and a condition, in capitals", () => {
  for (const code of CODES) expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
});
