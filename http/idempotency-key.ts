/** `Idempotency-Key`: the sender's own name for a request, with which it may be sent again. */
import * as v from "valibot";
import { failure, success, type Result } from "../domain/result.ts";
import { visible } from "./field.ts";

const key = visible(255);

export function readIdempotencyKey(headers: Headers): Result<string | undefined> {
  const value = headers.get("idempotency-key");
  if (value === null) return success(undefined);
  if (v.is(key, value)) return success(value);
  const message = "must be 1 to 255 visible ASCII characters without blanks";
  return failure("HEADER_INVALID", [{ path: "Idempotency-Key", message }]);
}

export const IDEMPOTENCY_KEY_SCHEMA = v.optional(key);
