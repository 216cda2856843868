/** The result of a step of a request: a value, or the error for the caller. */
import type { ErrorCode, Fault } from "./error-codes.ts";

export interface Failure {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly faults?: readonly Fault[];
}

export type Result<T> = { readonly ok: true; readonly value: T } | Failure;

export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function failure(code: ErrorCode, faults?: readonly Fault[]): Failure {
  return faults ? { ok: false, code, faults } : { ok: false, code };
}
