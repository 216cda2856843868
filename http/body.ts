/**
 * Bodies are read to 16 KiB, or to the limit of their operation, and no further, even if the
 * headers give another length. An operation names one of these readers, which also says how the body is
 * documented and what may be wrong with it.
 */
import type * as v from "valibot";
import type { ErrorCode } from "../domain/error-codes.ts";
import { failure, success, type Result } from "../domain/result.ts";
import { check } from "./check.ts";

export const MAX_BODY_BYTES = 16 * 1024;

export interface JsonOptions {
  readonly maxBytes?: number;
  /**
   * Whether the body is read as JSON with any content type, and invalid UTF-8 is replaced. The
   * runtime's own reader does that, and saves the decoding: a fifth of the time for 26 kB.
   */
  readonly lenient?: boolean;
}

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
export function json<Schema extends v.GenericSchema>(
  schema: Schema,
  options?: JsonOptions,
): Body<v.InferOutput<Schema>> {
  return acceptJson([schema], (value) => check(schema, value, "BODY_INVALID"), options);
}

/** JSON of one of several shapes; `checkShape` decides which. */
export function acceptJson<T>(
  shapes: readonly v.GenericSchema[],
  checkShape: (value: unknown) => Result<T>,
  options: JsonOptions = {},
): Body<T> {
  return {
    content: { "application/json": shapes },
    problems: OF_JSON.filter((code) => !options.lenient || code !== "BODY_TYPE_UNSUPPORTED"),
    async read(request) {
      const value = await readJson(request, options);
      return value.ok ? checkShape(value.value) : value;
    },
  };
}

/** The bytes unchanged, for example of a signed body. */
export function bytes(content: Body<unknown>["content"]): Body<Uint8Array<ArrayBuffer>> {
  return { content, problems: OF_JSON, read: (request) => readBytes(request) };
}

/** Left to the handler: a stream may have any length. */
export function unread(
  content: Body<unknown>["content"],
  problems: readonly ErrorCode[] = OF_JSON,
): Body<undefined> {
  return { content, problems, read: async () => success(undefined) };
}

export async function readBytes(
  request: Request,
  maxBytes = MAX_BODY_BYTES,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const announced = request.headers.get("content-length");
  if (announced !== null && Number(announced) > maxBytes) return failure("BODY_TOO_LARGE");
  try {
    // If the server has enforced the length, the bytes need not be counted, which is faster.
    if (announced !== null || !request.body) {
      return success(new Uint8Array(await request.arrayBuffer()));
    }
    return await readCounted(request.body, maxBytes);
  } catch {
    // The connection broke, or the body does not match its encoding.
    return failure("BODY_MALFORMED");
  }
}

async function readCounted(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const reader = body.getReader();
  let read = new Uint8Array(Math.min(maxBytes, MAX_BODY_BYTES));
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return success(read.subarray(0, length));
    const longer = length + value.length;
    if (longer > maxBytes) {
      await reader.cancel();
      return failure("BODY_TOO_LARGE");
    }
    if (longer > read.length) {
      const grown = new Uint8Array(Math.min(maxBytes, Math.max(longer, 2 * read.length)));
      grown.set(read);
      read = grown;
    }
    read.set(value, length);
    length = longer;
  }
}

/** The media type without its parameters, in lower case; `""` if there is none. */
export function readMediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

export function decodeText(encoded: Uint8Array<ArrayBuffer>): Result<string> {
  try {
    return success(new TextDecoder("utf-8", { fatal: true }).decode(encoded));
  } catch {
    // The error's text may contain the body.
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

async function readJson(
  request: Request,
  { maxBytes = MAX_BODY_BYTES, lenient = false }: JsonOptions,
): Promise<Result<unknown>> {
  if (lenient) return await readLenient(request, maxBytes);
  if (readMediaType(request) !== "application/json") return failure("BODY_TYPE_UNSUPPORTED");
  const read = await readBytes(request, maxBytes);
  if (!read.ok) return read;
  const text = decodeText(read.value);
  return text.ok ? parseJson(text.value) : text;
}

async function readLenient(request: Request, maxBytes: number): Promise<Result<unknown>> {
  const announced = request.headers.get("content-length");
  if (announced === null) {
    const read = await readBytes(request, maxBytes);
    return read.ok ? parseJson(new TextDecoder().decode(read.value)) : read;
  }
  if (Number(announced) > maxBytes) return failure("BODY_TOO_LARGE");
  try {
    return success((await request.json()) as unknown);
  } catch {
    // The error would quote the body.
    return failure("BODY_MALFORMED");
  }
}
