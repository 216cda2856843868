/** The OpenAPI document: each operation from its declaration and the table of errors. */
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { ERRORS, type ErrorCode } from "../domain/error-codes.ts";
import { IDEMPOTENCY_KEY_SCHEMA } from "./idempotency-key.ts";
import type { Answer, Declaration, Schema } from "./operation.ts";

export interface Info {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
}

/** The part of a document that callers use. */
export interface Document {
  readonly openapi: string;
  readonly info: Info;
  readonly paths: Groups;
  readonly components: Groups;
}
type Groups = Readonly<Record<string, object>>;
type JsonSchema = Readonly<Record<string, unknown>>;

/** The bearer tokens that a server takes, and the errors of a wrong one. */
export interface BearerScheme {
  readonly bearerFormat?: string;
  readonly description?: string;
  readonly problems: readonly ErrorCode[];
}

/** A token of a person or a machine, which names its permissions and expires. */
const SIGNED: BearerScheme = {
  bearerFormat: "JWT",
  problems: ["TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_SCOPE"],
};

/** `always` lists the errors that each operation of the server may answer. */
export function createDocument(
  info: Info,
  declarations: readonly Declaration[],
  always: readonly ErrorCode[],
  { problems: ofBearers, ...scheme }: BearerScheme = SIGNED,
): Document {
  const byPath = Map.groupBy(declarations, ({ path }) => path.replaceAll(/:(\w+)/g, "{$1}"));
  return {
    openapi: "3.1.0",
    info,
    paths: Object.fromEntries(
      [...byPath].map(([path, each]) => [
        path,
        Object.fromEntries(
          each.map((declaration) => [
            declaration.method.toLowerCase(),
            describe(declaration, always, ofBearers),
          ]),
        ),
      ]),
    ),
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", ...scheme } },
    },
  };
}

/**
 * Merges two documents. Both may have the same address: each of its methods belongs to one of them.
 */
export function mergeDocuments(own: Document, theirs: Partial<Document> = {}): Document {
  return {
    ...own,
    paths: mergeGroups(own.paths, theirs.paths),
    components: mergeGroups(own.components, theirs.components),
  };
}

function mergeGroups(own: Groups, theirs: Groups = {}): Groups {
  const merged = new Map(Object.entries(theirs));
  for (const [group, entries] of Object.entries(own)) {
    merged.set(group, { ...merged.get(group), ...entries });
  }
  return Object.fromEntries(merged);
}

function describe(
  declaration: Declaration,
  always: readonly ErrorCode[],
  ofBearers: readonly ErrorCode[],
): object {
  const { operationId, summary, permission, body, method } = declaration;
  const { params = {}, query, headers, versioned = false } = declaration;
  const isChange = method !== "GET";
  const needs =
    permission === undefined ? [] : [`Needs a token with the permission \`${permission}\`.`];
  const description = [declaration.description ?? [], needs].flat().join("\n\n");
  const parameters = [
    ...Object.entries(params).map(([name, { pattern }]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string", pattern: pattern.source },
    })),
    ...(query ? describeParameters("query", query) : []),
    ...(headers ? describeParameters("header", v.object(headers)) : []),
    ...(isChange ? [describeIdempotencyKey(declaration)] : []),
    ...(versioned
      ? describeParameters("header", v.object(isChange ? IF_MATCH : IF_NONE_MATCH))
      : []),
  ];
  const problems = [
    ...declaration.problems,
    ...Object.values(params).map(({ unknown }) => unknown),
    ...(permission === undefined ? [] : ofBearers),
    ...(query ? (["QUERY_INVALID"] as const) : []),
    ...(headers || isChange || versioned ? (["HEADER_INVALID"] as const) : []),
    ...(body?.problems ?? []),
    ...(versioned && isChange ? (["VERSION_STALE"] as const) : []),
    ...always,
  ];
  return {
    operationId,
    summary,
    ...(description === "" ? {} : { description }),
    ...(permission === undefined ? {} : { security: [{ bearer: [] }] }),
    parameters,
    ...(body ? { requestBody: { required: true, content: describeContent(body.content) } } : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(declaration.answers).map(([status, answer]) => [
          status,
          describeResponse(answer, versioned),
        ]),
      ),
      ...(versioned && !isChange
        ? {
            304: describeResponse({ description: "The version is still the known one." }, true),
          }
        : {}),
      ...problemResponses(problems),
    },
  };
}

const IF_MATCH = {
  "If-Match": v.optional(
    v.pipe(v.string(), v.description("The `ETag` that the change is made for.")),
  ),
};
const IF_NONE_MATCH = {
  "If-None-Match": v.optional(v.pipe(v.string(), v.description("The `ETag` that is known."))),
};

function describeIdempotencyKey({ idempotency }: Declaration): object {
  const description =
    idempotency ??
    "Accepted as for every operation; this operation has the same result however often it is sent.";
  const [parameter] = describeParameters(
    "header",
    v.object({ "Idempotency-Key": IDEMPOTENCY_KEY_SCHEMA }),
  );
  return { ...parameter, description };
}

function describeParameters(place: "query" | "header", schema: Schema): object[] {
  const { properties = {}, required = [] } = toSchema(schema) as {
    readonly properties?: Readonly<Record<string, object>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, each]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: each,
  }));
}

function describeResponse(
  { description, body, content, headers = {} }: Answer,
  versioned: boolean,
): object {
  const all = versioned ? { ...headers, ETag: "Its version." } : headers;
  return {
    description,
    ...(Object.keys(all).length === 0 ? {} : { headers: describeHeaders(all) }),
    ...(body || content
      ? {
          content: describeContent({
            ...(body ? { "application/json": [body] } : {}),
            ...Object.fromEntries(
              Object.entries(content ?? {}).map(([type, schema]) => [type, [schema]]),
            ),
          }),
        }
      : {}),
  };
}

function describeHeaders(headers: Readonly<Record<string, string>>): object {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: "string" } },
    ]),
  );
}

function describeContent(content: Readonly<Record<string, readonly Schema[]>>): object {
  return Object.fromEntries(
    Object.entries(content).map(([type, shapes]) => {
      const schemas = shapes.map(toSchema);
      return [type, { schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas } }];
    }),
  );
}

/** Describes the input of a schema, not its output. */
function toSchema(schema: Schema): JsonSchema {
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" });
  return rest;
}

/** One response for each status, with the codes that it may have. */
function problemResponses(codes: readonly ErrorCode[]): object {
  const statuses = Map.groupBy(new Set(codes), (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...statuses].map(([status, each]) => [
      status,
      {
        description: each.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join("\n\n"),
        content: {
          "application/problem+json": { schema: toSchema(problemSchema(status, each)) },
        },
      },
    ]),
  );
}

const problemSchema = (status: number, codes: readonly ErrorCode[]) =>
  v.object({
    type: v.string(),
    title: v.string(),
    status: v.literal(status),
    code: v.picklist(codes),
    detail: v.string(),
    faults: v.optional(v.array(v.object({ path: v.string(), message: v.string() }))),
  });
