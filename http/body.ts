/**
 * Bodies are read to 16 KiB and no further, whatever their headers say of their
 * length. An operation names one of these readers, which also says how the body is
 * documented and what may be wrong with it.
 */
import type * as v from "valibot";
import type { ErrorCode } from "../domain/error-codes.ts";
import { failure, success, type Result } from "../domain/result.ts";
import { check } from "./check.ts";

export const MAX_BODY_BYTES = 16 * 1024;

export interface Body<T> {
  /** Media type → the shapes that a body of it may have. */
  readonly content: Readonly<Record<string, readonly v.GenericSchema[]>>;
  readonly problems: readonly ErrorCode[];
  read(request: Request): Promise<Result<T>>;
}

const OF_JSON = [
  "BODY_MALFORMED",
  "BODY_TOO_LARGE",
  "BODY_TYPE_UNSUPPORTED",
  "BODY_INVALID",
] as const;

/** JSON of one shape. */
export function json<Schema extends v.GenericSchema>(schema: Schema): Body<v.InferOutput<Schema>> {
  return jsonOf([schema], (value) => check(schema, value, "BODY_INVALID"));
}

/** JSON of one of several shapes; `checkShape` decides which. */
export function jsonOf<T>(
  shapes: readonly v.GenericSchema[],
  checkShape: (value: unknown) => Result<T>,
): Body<T> {
  return {
    content: { "application/json": shapes },
    problems: OF_JSON,
    async read(request) {
      const value = await readJson(request);
      return value.ok ? checkShape(value.value) : value;
    },
  };
}

/** The bytes as they came: of a body that is signed, for instance. */
export function bytes(content: Body<unknown>["content"]): Body<Uint8Array<ArrayBuffer>> {
  return { content, problems: OF_JSON, read: readBytes };
}

/** Left to the handler: a stream may be of any length. */
export function unread(content: Body<unknown>["content"]): Body<undefined> {
  return { content, problems: OF_JSON, read: async () => success(undefined) };
}

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
    // The connection broke off, or the body was not what its encoding says.
    return failure("BODY_MALFORMED");
  }
}

async function readCounted(
  body: ReadableStream<Uint8Array>,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const reader = body.getReader();
  const read = new Uint8Array(MAX_BODY_BYTES);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return success(read.subarray(0, length));
    if (length + value.length > MAX_BODY_BYTES) {
      await reader.cancel();
      return failure("BODY_TOO_LARGE");
    }
    read.set(value, length);
    length += value.length;
  }
}

/** The media type without its parameters, in lower case; `""` where none is given. */
export function mediaTypeOf(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

export function decodeText(encoded: Uint8Array<ArrayBuffer>): Result<string> {
  try {
    return success(new TextDecoder("utf-8", { fatal: true }).decode(encoded));
  } catch {
    // The error's text may hold the body.
    return failure("BODY_MALFORMED");
  }
}

export function parseJson(text: string): Result<unknown> {
  try {
    return success(JSON.parse(text) as unknown);
  } catch {
    // The error's text may hold the body.
    return failure("BODY_MALFORMED");
  }
}

export async function readJson(request: Request): Promise<Result<unknown>> {
  if (mediaTypeOf(request) !== "application/json") return failure("BODY_TYPE_UNSUPPORTED");
  const read = await readBytes(request);
  if (!read.ok) return read;
  const text = decodeText(read.value);
  return text.ok ? parseJson(text.value) : text;
}
