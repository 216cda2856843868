/** Failures as RFC 9457 responses. Nothing of the request is ever repeated in one. */
import { problemOf } from "../../domain/error-codes.ts";
import type { Failure } from "../../domain/result.ts";

const RETRY_AFTER: Readonly<Record<number, string>> = { 429: "60", 503: "1" };

export function problemResponse(
  { code, faults }: Failure,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const problem = problemOf(code, faults);
  const retryAfter = RETRY_AFTER[problem.status];
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": "application/problem+json",
      ...(problem.status === 401 ? { "www-authenticate": 'Bearer realm="fanfare"' } : {}),
      ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
      ...headers,
    },
  });
}
