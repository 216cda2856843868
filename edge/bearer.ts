/** Who is calling: the middleware that every operation with a token starts with. */
import { createMiddleware } from "hono/factory";
import type { Edge, EdgeHono } from "./edge.ts";
import { problemResponse } from "./problems.ts";
import { failure, type Result } from "../domain/result.ts";
import type { Scope } from "../domain/permission.ts";
import { bearerOf, type Caller } from "./tokens.ts";

export async function identify(edge: Edge, header: string | undefined): Promise<Result<Caller>> {
  const token = bearerOf(header);
  return token.ok ? await edge.verifyToken(token.value, edge.clock()) : token;
}

export function requireScope(edge: Edge, scope: Scope) {
  return createMiddleware<EdgeHono>(async (c, next) => {
    const caller = await identify(edge, c.req.header("authorization"));
    if (!caller.ok) return problemResponse(caller);
    if (!caller.value.scopes.has(scope)) return problemResponse(failure("TOKEN_SCOPE"));
    c.set("caller", caller.value);
    return next();
  });
}
