/**
 * A server's operations: each request is checked against its declaration, then refused with a code
 * or answered. An address refuses other methods and lists its own. A bug is an `INTERNAL` that is
 * logged with the error's name and place, never with its message.
 */
import { Hono, type Context } from "hono";
import * as v from "valibot";
import type { ErrorCode } from "../domain/error-codes.ts";
import type { Permission } from "../domain/permission.ts";
import { failure, success, type Result } from "../domain/result.ts";
import { parseBearer, type Bearer } from "./bearer.ts";
import { check } from "./check.ts";
import { formatEtag, isKnown, readPrecondition, type Precondition } from "./etag.ts";
import { readIdempotencyKey } from "./idempotency-key.ts";
import { createDocument, type BearerScheme, type Document, type Info } from "./openapi.ts";
import type { Declaration, Entries, Operation, PathParameter, Reply, Schema } from "./operation.ts";
import { nameOf, placeOf } from "./place.ts";
import { problemResponse } from "./problem.ts";

const Nothing = v.strictObject({});

export interface ServiceParts<Caller extends Bearer> {
  readonly info: Info;
  verify(token: string): Result<Caller> | Promise<Result<Caller>>;
  /** How the document describes the tokens; by default, JWTs that expire. */
  readonly bearer?: BearerScheme;
  /** The code of an error that is not a bug, for example of a store that does not answer. */
  codeOf?(error: Error): ErrorCode | undefined;
  /** Each error that no handler expected. */
  onFailure(
    code: ErrorCode,
    error: { readonly name: string; readonly at: string | undefined },
  ): void;
  /** Errors that any operation may answer, beside its own. */
  readonly problems?: readonly ErrorCode[];
}

export class Service<Caller extends Bearer> {
  readonly app = new Hono();
  readonly #parts: ServiceParts<Caller>;
  readonly #declarations: Declaration[] = [];
  #document: Document | undefined;

  constructor(parts: ServiceParts<Caller>) {
    this.#parts = parts;
    this.app.onError((error) => {
      const code = parts.codeOf?.(error) ?? "INTERNAL";
      parts.onFailure(code, { name: nameOf(error), at: placeOf(error) });
      return problemResponse(failure(code));
    });
    this.app.notFound(() => problemResponse(failure("ROUTE_UNKNOWN")));
  }

  serve<
    Path extends string,
    Query extends Schema = typeof Nothing,
    Headers extends Entries = (typeof Nothing)["entries"],
    Content = undefined,
    Allowed extends Permission | undefined = undefined,
  >(operation: Operation<Path, Query, Headers, Content, Allowed, Caller>): void {
    this.#declarations.push(operation);
    const read = createReader(operation);
    this.app.on(operation.method, operation.path, async (c) => {
      const caller = await this.#callerOf(c, operation.permission);
      if (!caller.ok) return problemResponse(caller);
      const parts = await read(c);
      if (!parts.ok) return problemResponse(parts);
      const answer = await operation.handle({
        ...parts.value,
        caller: caller.value,
        request: c.req.raw,
        context: c,
        later: (task: Promise<unknown>) => c.executionCtx.waitUntil(task),
      } as never);
      return answer instanceof Response ? answer : respond(answer, operation, c.req.raw);
    });
  }

  /**
   * Created once, because it does not change while the server runs. Ask for it after all operations
   * are declared.
   */
  document(): Document {
    const { info, problems = [], bearer } = this.#parts;
    this.#document ??= createDocument(
      info,
      this.#declarations,
      [...problems, "METHOD_NOT_ALLOWED", "INTERNAL"],
      bearer,
    );
    return this.#document;
  }

  /** Call it last: every address declared so far then refuses the methods that it does not take. */
  refuseOtherMethods(): void {
    const methods = new Map<string, Set<string>>();
    for (const { method, path } of this.app.routes) {
      if (method === "ALL") continue;
      const taken = methods.get(path) ?? new Set();
      methods.set(path, taken.add(method));
      if (method === "GET") taken.add("HEAD");
    }
    for (const [path, taken] of methods) this.app.all(path, () => methodNotAllowed([...taken]));
  }

  async #callerOf(c: Context, permission: Permission | undefined): Promise<Result<unknown>> {
    if (permission === undefined) return success(undefined);
    const token = parseBearer(c.req.header("authorization"));
    const caller = token.ok ? await this.#parts.verify(token.value) : token;
    if (!caller.ok) return caller;
    return caller.value.permissions.has(permission) ? caller : failure("TOKEN_SCOPE");
  }
}

export function methodNotAllowed(methods: readonly string[]): Response {
  return problemResponse(failure("METHOD_NOT_ALLOWED"), { allow: methods.join(", ") });
}

interface Parts {
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly headers: unknown;
  readonly body: unknown;
  readonly idempotencyKey: string | undefined;
  readonly precondition: Precondition;
}

const NONE: Readonly<Record<string, never>> = {};
const ANY_VERSION: Precondition = { refusal: () => undefined };

/** A part that the declaration does not name is not checked. */
function createReader(declaration: Declaration): (c: Context) => Promise<Result<Parts>> {
  const { path, params = NONE, query, headers, body, method, versioned = false } = declaration;
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
  if (names.toSorted().join() !== Object.keys(params).toSorted().join()) {
    throw new TypeError(`${declaration.operationId} does not say what the names in its path are`);
  }
  const isChange = method !== "GET";
  const headerSchema = headers && v.object(headers);
  const headerNames = Object.keys(headers ?? NONE);

  return async (c) => {
    const { raw: request } = c.req;
    const key = isChange ? readIdempotencyKey(request.headers) : success(undefined);
    if (!key.ok) return key;
    const inPath = names.length === 0 ? success(NONE) : readPath(c, params);
    if (!inPath.ok) return inPath;
    const inQuery = query ? readQuery(query, request.url) : success(NONE);
    if (!inQuery.ok) return inQuery;
    const inHeaders = headerSchema
      ? check(headerSchema, readHeaders(headerNames, request.headers), "HEADER_INVALID")
      : success(NONE);
    if (!inHeaders.ok) return inHeaders;
    const precondition = versioned ? readPrecondition(request.headers) : success(ANY_VERSION);
    if (!precondition.ok) return precondition;
    const content = body ? await body.read(request) : success(undefined);
    if (!content.ok) return content;
    return success({
      params: inPath.value,
      query: inQuery.value,
      headers: inHeaders.value,
      body: content.value,
      idempotencyKey: key.value,
      precondition: precondition.value,
    });
  };
}

function readPath(
  c: Context,
  params: Readonly<Record<string, PathParameter>>,
): Result<Readonly<Record<string, string>>> {
  const values: [name: string, value: string][] = [];
  for (const [name, { pattern, unknown }] of Object.entries(params)) {
    const value = c.req.param(name) ?? "";
    if (!pattern.test(value)) return failure(unknown);
    values.push([name, value]);
  }
  return success(Object.fromEntries(values));
}

/** A parameter that is given twice is refused, not half used. */
function readQuery(schema: Schema, url: string): Result<unknown> {
  const at = url.indexOf("?");
  const entries = [...new URLSearchParams(at === -1 ? "" : url.slice(at))];
  if (new Set(entries.map(([name]) => name)).size < entries.length) {
    return failure("QUERY_INVALID", [{ path: "", message: "names a parameter twice" }]);
  }
  return check(schema, Object.fromEntries(entries), "QUERY_INVALID");
}

function readHeaders(names: readonly string[], headers: Headers): object {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
}

function respond(answer: Reply, { method, versioned }: Declaration, request: Request): Response {
  if (!answer.ok) return problemResponse(answer);
  const { status, value, version } = answer;
  const headers = {
    ...answer.headers,
    ...(version === undefined ? {} : { etag: formatEtag(version) }),
  };
  if (method === "GET" && versioned === true && isKnown(request.headers, version ?? 0)) {
    return new Response(null, { status: 304, headers });
  }
  return value === undefined
    ? new Response(null, { status, headers })
    : Response.json(value, { status, headers });
}
