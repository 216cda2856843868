/** The bearer token of a request. The verifier returns what the bearer may do. */
import { failure, success, type Result } from "../domain/result.ts";

export interface Bearer {
  /** The words of the token's `scope`. */
  readonly permissions: ReadonlySet<string>;
}

/** The token of an `Authorization` header. */
export function parseBearer(header: string | null | undefined): Result<string> {
  if (header === null || header === undefined) return failure("TOKEN_MISSING");
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
  return token === undefined ? failure("TOKEN_INVALID") : success(token);
}
