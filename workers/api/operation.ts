/**
 * An operation of the API: what it takes and answers, once, for the check of
 * every request and for the OpenAPI document alike.
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Context, Hono } from "hono";
import { describeRoute, type DescribeRouteOptions } from "hono-openapi";
import * as v from "valibot";
import { ERRORS, type ErrorCode } from "../../domain/error-codes.ts";
import { ID_PATTERN } from "../../domain/ids.ts";
import { problemResponse } from "./problems.ts";
import { check, checkIdempotencyKey, readBody, readQuery } from "./request.ts";
import { failure, type Failure } from "../../domain/result.ts";
import type { Scope } from "../../domain/permission.ts";
import { ProblemAnswer } from "./schemas.ts";
import { bearerOf, type Caller, type Tokens } from "./tokens.ts";

type Schema = v.GenericSchema;
const Nothing = v.strictObject({});

export interface Operation<Query extends Schema, Body extends Schema> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** What `:id` is, where it is not an id alone. */
  readonly idPattern?: RegExp;
  readonly query?: Query;
  readonly body?: Body;
  /** Status → what it means and its shape. */
  readonly answers: Readonly<Record<number, readonly [string, Schema]>>;
  /** What else it may answer; what follows from its kind is added. */
  readonly problems: readonly ErrorCode[];
}

export interface Call<Query extends Schema, Body extends Schema> {
  /** The `:id` of the path, not yet known to be one. */
  readonly id: string;
  readonly query: v.InferOutput<Query>;
  readonly body: v.InferOutput<Body>;
}

export type Reply =
  Failure | { readonly ok: true; readonly status: 200 | 201; readonly value: object };

export function reply(value: object, status: 200 | 201 = 200): Reply {
  return { ok: true, status, value };
}

/** Serves an operation that needs no token. */
export function serveAnyone<
  Query extends Schema = typeof Nothing,
  Body extends Schema = typeof Nothing,
>(
  app: Hono,
  operation: Operation<Query, Body>,
  handle: (call: Call<Query, Body>) => Promise<Reply>,
): void {
  app.on(operation.method, operation.path, describe(operation), async (c) =>
    respond(await read(c, operation, handle)),
  );
}

/** Serves an operation to those whose token has the scope. */
export function serve<Query extends Schema = typeof Nothing, Body extends Schema = typeof Nothing>(
  app: Hono,
  tokens: Tokens,
  scope: Scope,
  operation: Operation<Query, Body>,
  handle: (call: Call<Query, Body>, caller: Caller) => Promise<Reply>,
): void {
  app.on(operation.method, operation.path, describe(operation, scope), async (c) => {
    const token = bearerOf(c.req.header("authorization"));
    const caller = token.ok ? await tokens.verify(token.value) : token;
    if (!caller.ok) return problemResponse(caller);
    if (!caller.value.scopes.has(scope)) return problemResponse(failure("TOKEN_SCOPE"));
    return respond(await read(c, operation, (call) => handle(call, caller.value)));
  });
}

async function read<Query extends Schema, Body extends Schema>(
  c: Context,
  operation: Operation<Query, Body>,
  handle: (call: Call<Query, Body>) => Promise<Reply>,
): Promise<Reply> {
  const key = checkIdempotencyKey(c.req.raw);
  if (!key.ok) return key;
  const rawQuery = readQuery(c.req.url);
  if (!rawQuery.ok) return rawQuery;
  const query = check((operation.query ?? Nothing) as Query, rawQuery.value, "QUERY_INVALID");
  if (!query.ok) return query;
  const id = c.req.param("id") ?? "";
  if (!operation.body) return await handle({ id, query: query.value, body: {} as never });
  const rawBody = await readBody(c.req.raw);
  if (!rawBody.ok) return rawBody;
  const body = check(operation.body, rawBody.value, "BODY_INVALID");
  return body.ok ? await handle({ id, query: query.value, body: body.value }) : body;
}

function respond(answer: Reply): Response {
  return answer.ok
    ? Response.json(answer.value, { status: answer.status })
    : problemResponse(answer);
}

const OF_ALL: readonly ErrorCode[] = [
  "HEADER_INVALID",
  "QUERY_INVALID",
  "METHOD_NOT_ALLOWED",
  // The edge says this of every body, also where none is wanted.
  "BODY_TOO_LARGE",
  "INTERNAL",
  "RECORDS_UNAVAILABLE",
];
const OF_BEARERS: readonly ErrorCode[] = [
  "TOKEN_MISSING",
  "TOKEN_INVALID",
  "TOKEN_EXPIRED",
  "TOKEN_SCOPE",
];
const OF_BODIES: readonly ErrorCode[] = ["BODY_MALFORMED", "BODY_TYPE_UNSUPPORTED", "BODY_INVALID"];

function describe(operation: Operation<Schema, Schema>, scope?: Scope) {
  const { operationId, summary, path, query, body, answers, method } = operation;
  const { idPattern = ID_PATTERN } = operation;
  const problems = [
    ...operation.problems,
    ...(scope === undefined ? [] : OF_BEARERS),
    ...(body ? OF_BODIES : []),
    ...OF_ALL,
  ];
  const parameters = [
    ...(path.includes(":id")
      ? [parameter("path", "id", { type: "string", pattern: idPattern.source })]
      : []),
    ...queryParameters(query),
    ...(method === "GET" ? [] : [IDEMPOTENCY_KEY]),
  ];
  return describeRoute({
    operationId,
    summary,
    ...(scope === undefined
      ? {}
      : { description: `Needs a token with the scope \`${scope}\`.`, security: [{ bearer: [] }] }),
    parameters,
    ...(body ? { requestBody: { required: true, content: jsonOf(body) } } : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, [description, schema]]) => [
          status,
          { description, content: jsonOf(schema) },
        ]),
      ),
      ...problemResponses(problems),
    },
  } as unknown as DescribeRouteOptions);
}

function parameter(place: "path" | "query", name: string, schema: object): object {
  return { name, in: place, required: place === "path", schema };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "Taken as everywhere; this operation ends the same however often it is sent.",
  schema: { type: "string", pattern: "^[!-~]{1,255}$" },
};

function queryParameters(query: Schema | undefined): object[] {
  if (!query) return [];
  const { properties = {} } = schemaOf(query) as { properties?: Record<string, object> };
  return Object.entries(properties).map(([name, schema]) => parameter("query", name, schema));
}

function jsonOf(schema: Schema): object {
  return { "application/json": { schema: schemaOf(schema) } };
}

/** Of what is taken, not of what it is turned into. */
function schemaOf(schema: Schema): object {
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" });
  return rest;
}

/** One response a status, naming the codes that it may carry. */
function problemResponses(codes: readonly ErrorCode[]): Record<string, object> {
  const statuses = Map.groupBy(new Set(codes), (code) => String(ERRORS[code].status));
  return Object.fromEntries(
    [...statuses].map(([status, each]) => [
      status,
      {
        description: each.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join("\n\n"),
        content: {
          "application/problem+json": { schema: schemaOf(ProblemAnswer(Number(status), each)) },
        },
      },
    ]),
  );
}
