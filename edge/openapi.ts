/** The OpenAPI document: every answer of every operation, from the same schemas and the same table of errors that the code uses. */
import type { EdgeHono } from "./edge.ts";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Hono } from "hono";
import { describeRoute, generateSpecs, type DescribeRouteOptions } from "hono-openapi";
import type { GenericSchema } from "valibot";
import { ERRORS, type ErrorCode } from "../domain/error-codes.ts";
import type { Scope } from "../domain/permission.ts";
import { log } from "./log.ts";

type JsonSchema = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;
type Responses = Readonly<
  Record<
    string,
    { readonly description: string; readonly headers?: object; readonly content?: Content }
  >
>;

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "header" | "query";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}

/** As much of an OpenAPI document as is merged here. */
interface Document {
  readonly paths?: Groups;
  readonly components?: Groups;
}
type Groups = Readonly<Record<string, object>>;

export function schemaOf(schema: GenericSchema): JsonSchema {
  const { $schema: _, ...rest } = toJsonSchema(schema, { errorMode: "ignore" });
  return rest;
}

export const jsonOf = (schema: GenericSchema) => ({
  "application/json": { schema: schemaOf(schema) },
});

/** A body that may be of one of several shapes. */
export const anyOf = (...schemas: readonly GenericSchema[]) => ({
  "application/json": { schema: { anyOf: schemas.map(schemaOf) } },
});

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly scope?: Scope;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content;
  readonly responses: Responses;
  /** What else it may answer; what any operation may answer is added. */
  readonly problems: readonly ErrorCode[];
}

const OF_ALL: readonly ErrorCode[] = ["METHOD_NOT_ALLOWED", "INTERNAL"];
const OF_BEARERS: readonly ErrorCode[] = [
  "TOKEN_MISSING",
  "TOKEN_INVALID",
  "TOKEN_EXPIRED",
  "TOKEN_SCOPE",
];

export function describe(operation: Operation) {
  const { scope, requestBody, problems, responses, description, ...rest } = operation;
  const codes = [...problems, ...(scope === undefined ? [] : OF_BEARERS), ...OF_ALL];
  const needs = scope === undefined ? [] : [`Needs a token with the scope \`${scope}\`.`];
  return describeRoute({
    ...rest,
    description: [...(description === undefined ? [] : [description]), ...needs].join("\n\n"),
    ...(scope === undefined ? {} : { security: [{ bearer: [] }] }),
    ...(requestBody ? { requestBody: { required: true, content: requestBody } } : {}),
    responses: { ...responses, ...problemResponses(codes) },
  } as unknown as DescribeRouteOptions);
}

/** One response a status, naming the codes that it may carry. */
function problemResponses(codes: readonly ErrorCode[]): Responses {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const list = byStatus.get(ERRORS[code].status) ?? [];
    byStatus.set(ERRORS[code].status, [...list, code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, each]) => [
      String(status),
      {
        description: each.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join("\n\n"),
        content: { "application/problem+json": { schema: problemSchema(status, each) } },
      },
    ]),
  );
}

function problemSchema(status: number, codes: readonly ErrorCode[]): JsonSchema {
  const text = { type: "string" } as const;
  return {
    type: "object",
    required: ["type", "title", "status", "code", "detail"],
    properties: {
      type: text,
      title: text,
      status: { const: status },
      code: { type: "string", enum: [...codes] },
      detail: text,
      faults: {
        type: "array",
        items: {
          type: "object",
          required: ["path", "message"],
          properties: { path: text, message: text },
        },
      },
    },
  };
}

export const IDEMPOTENCY_KEY_HEADER: Parameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "Repeats with the same key and body get the first answer again, for 24 hours; another body is a conflict.",
  schema: { type: "string", pattern: "^[!-~]{1,255}$" },
};

const RECORDS_TIMEOUT_MS = 2_000;

/** The edge's own document, with the records API's paths beside it where that answers. */
export async function openApiDocument(
  app: Hono<EdgeHono>,
  recordsUrl: string | undefined,
): Promise<unknown> {
  const own = await generateSpecs(app, {
    // It would take `/openapi.json` for a file.
    excludeStaticFile: false,
    documentation: {
      openapi: "3.1.0",
      info: {
        title: "Fanfare",
        version: "1",
        description:
          "One signal in, every follower's order out, each exactly once or provably not at all.",
      },
      components: {
        securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      },
    },
  });
  const theirs = recordsUrl === undefined ? undefined : await fetchDocument(recordsUrl);
  return {
    ...own,
    paths: mergeGroups(theirs?.paths, own.paths),
    components: mergeGroups(theirs?.components, own.components),
  };
}

/** Both may have something at one address: each method of it belongs to one of them. */
function mergeGroups(theirs: Groups = {}, own: Groups = {}): Groups {
  const merged: Record<string, object> = { ...theirs };
  for (const [group, entries] of Object.entries(own)) {
    merged[group] = { ...merged[group], ...entries };
  }
  return merged;
}

async function fetchDocument(recordsUrl: string): Promise<Document | undefined> {
  try {
    const response = await fetch(new URL("/openapi.json", recordsUrl), {
      signal: AbortSignal.timeout(RECORDS_TIMEOUT_MS),
    });
    return response.ok ? ((await response.json()) as Document) : undefined;
  } catch (error) {
    log.warn("the records API gives no document", { error: (error as Error).name });
    return undefined;
  }
}
