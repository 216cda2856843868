/** What a request carries, checked. The faults name fields and what they take, and repeat no value. */
import * as v from "valibot";
import type { ErrorCode, Fault } from "../../domain/error-codes.ts";
import { failure, success, type Result } from "../../domain/result.ts";

export const MAX_BODY_BYTES = 16 * 1024;

export async function readBody(request: Request): Promise<Result<unknown>> {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") return failure("BODY_TYPE_UNSUPPORTED");
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) {
    return failure("BODY_TOO_LARGE");
  }
  try {
    const bytes = await request.arrayBuffer();
    if (bytes.byteLength > MAX_BODY_BYTES) return failure("BODY_TOO_LARGE");
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return success(JSON.parse(text) as unknown);
  } catch {
    // Not UTF-8, not JSON, or cut off; the error would quote the body.
    return failure("BODY_MALFORMED");
  }
}

/** The query as an object; a parameter that is there twice is refused rather than half used. */
export function readQuery(url: string): Result<Readonly<Record<string, string>>> {
  const { searchParams } = new URL(url);
  const names = [...searchParams.keys()];
  if (new Set(names).size < names.length) {
    return failure("QUERY_INVALID", [{ path: "", message: "names a parameter twice" }]);
  }
  return success(Object.fromEntries(searchParams));
}

const IDEMPOTENCY_KEY = /^[!-~]{1,255}$/;

/** The operations here end the same however often they are sent, so the key is checked and not needed. */
export function checkIdempotencyKey(request: Request): Result<undefined> {
  const key = request.headers.get("idempotency-key");
  if (key === null || IDEMPOTENCY_KEY.test(key)) return success(undefined);
  return failure("HEADER_INVALID", [
    { path: "Idempotency-Key", message: "must be 1 to 255 visible characters without blanks" },
  ]);
}

export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  code: ErrorCode,
): Result<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, value);
  return parsed.success
    ? success(parsed.output)
    : failure(code, parsed.issues.slice(0, 16).map(faultOf));
}

function faultOf(issue: v.BaseIssue<unknown>): Fault {
  const path = v.getDotPath(issue) ?? "";
  if (issue.type !== "strict_object") return { path, message: issue.message };
  // An unknown field's name is the sender's own text: it is repeated only where it reads like one.
  if (issue.expected === "never") {
    return { path: /^[\w.]{1,64}$/.test(path) ? path : "", message: "is not a field here" };
  }
  return { path, message: path === "" ? "must be a JSON object" : "is required" };
}
