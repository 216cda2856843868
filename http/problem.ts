/** Failures as RFC 9457 responses. Nothing of the request is ever repeated in one. */
import { problemOf } from "../domain/error-codes.ts";
import type { Failure } from "../domain/result.ts";

function retryAfterHeaders(status: number): Readonly<Record<string, string>> {
  if (status === 429) return { "retry-after": "60" };
  return status === 503 ? { "retry-after": "1" } : {};
}

export function problemResponse(
  { code, faults }: Omit<Failure, "ok">,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const problem = problemOf(code, faults);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": "application/problem+json",
      ...(problem.status === 401 ? { "www-authenticate": 'Bearer realm="fanfare"' } : {}),
      ...retryAfterHeaders(problem.status),
      ...headers,
    },
  });
}
