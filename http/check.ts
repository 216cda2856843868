/**
 * Checks a value against a schema. The faults name fields and their allowed values, and repeat no
 * value.
 */
import * as v from "valibot";
import type { ErrorCode, Fault } from "../domain/error-codes.ts";
import { failure, success, type Result } from "../domain/result.ts";

const MAX_FAULTS = 16;

export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  code: ErrorCode,
): Result<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, value);
  return parsed.success
    ? success(parsed.output)
    : failure(code, parsed.issues.slice(0, MAX_FAULTS).map(toFault));
}

function toFault(issue: v.BaseIssue<unknown>): Fault {
  const path = v.getDotPath(issue) ?? "";
  if (issue.type !== "strict_object" && issue.type !== "object") {
    return { path, message: issue.message };
  }
  // The name of an unknown field is the sender's own text: it is repeated only if it looks like a
  // name.
  if (issue.expected === "never") {
    return { path: /^[\w.]{1,64}$/.test(path) ? path : "", message: "is not a field here" };
  }
  return { path, message: path === "" ? "must be a JSON object" : "is required" };
}
