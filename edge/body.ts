/** Bodies are read to 16 KiB and no further, whatever their headers say of their length. */
import * as v from "valibot";
import type { Fault } from "../domain/error-codes.ts";
import { failure, success, type Result } from "../domain/result.ts";

export const MAX_BODY_BYTES = 16 * 1024;

export async function readBytes(request: Request): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const announced = request.headers.get("content-length");
  if (announced !== null && Number(announced) > MAX_BODY_BYTES) return failure("BODY_TOO_LARGE");
  try {
    // A length that the server has held the sender to needs no counting, and is faster.
    if (announced !== null || !request.body) {
      return success(new Uint8Array(await request.arrayBuffer()));
    }
    return await readCounted(request.body);
  } catch {
    // The sender broke off; there is nobody to answer.
    return failure("BODY_MALFORMED");
  }
}

async function readCounted(
  body: ReadableStream<Uint8Array>,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const reader = body.getReader();
  const bytes = new Uint8Array(MAX_BODY_BYTES);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return success(bytes.subarray(0, length));
    if (length + value.length > MAX_BODY_BYTES) {
      await reader.cancel();
      return failure("BODY_TOO_LARGE");
    }
    bytes.set(value, length);
    length += value.length;
  }
}

/** The media type without its parameters, in lower case; `""` where none is given. */
export function mediaTypeOf(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

export function decodeText(bytes: Uint8Array<ArrayBuffer>): Result<string> {
  try {
    return success(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // Not UTF-8.
    return failure("BODY_MALFORMED");
  }
}

export function parseJson(text: string): Result<unknown> {
  try {
    return success(JSON.parse(text) as unknown);
  } catch {
    // The error would quote the body.
    return failure("BODY_MALFORMED");
  }
}

export async function readJson(request: Request): Promise<Result<unknown>> {
  if (mediaTypeOf(request) !== "application/json") return failure("BODY_TYPE_UNSUPPORTED");
  const bytes = await readBytes(request);
  if (!bytes.ok) return bytes;
  const text = decodeText(bytes.value);
  return text.ok ? parseJson(text.value) : text;
}

/** Checks a value against a schema. The faults name fields and what they take, and repeat no value. */
export function checkBody<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): Result<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, value);
  return parsed.success
    ? success(parsed.output)
    : failure("BODY_INVALID", parsed.issues.slice(0, 16).map(faultOf));
}

function faultOf(issue: v.BaseIssue<unknown>): Fault {
  const path = v.getDotPath(issue) ?? "";
  if (issue.type !== "strict_object") return { path, message: issue.message };
  if (issue.expected === "never") {
    // A field's name is the sender's own text: it is repeated only where it reads like one.
    return { path: /^\w{1,32}$/.test(path) ? path : "", message: "is not a field here" };
  }
  return { path, message: path === "" ? "must be a JSON object" : "is required" };
}
