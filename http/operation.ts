/**
 * An operation: where it is, who may call it, what it takes and answers, and what
 * does it. One declaration serves each request and writes the OpenAPI document.
 */
import type { Context } from "hono";
import type * as v from "valibot";
import type { ErrorCode } from "../domain/error-codes.ts";
import type { Permission } from "../domain/permission.ts";
import type { Failure } from "../domain/result.ts";
import type { Body } from "./body.ts";
import type { Precondition } from "./etag.ts";

export type Schema = v.GenericSchema;
export type Entries = v.ObjectEntries;

/** The names of `/v1/signals/:id/orders/:order`. */
export type NamesIn<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | NamesIn<Rest>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never;

export interface PathParameter {
  readonly pattern: RegExp;
  /** What is answered where the address names none: there is no such thing. */
  readonly unknown: ErrorCode;
}

export interface Answer {
  readonly description: string;
  /** JSON. */
  readonly body?: Schema;
  /** Other media types. */
  readonly content?: Readonly<Record<string, Schema>>;
  /** Name → what it says. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What an operation says of itself, whatever the types of what it takes. */
export interface Declaration {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  /** What the token must allow; absent where none is needed. */
  readonly permission?: Permission | undefined;
  readonly params?: Readonly<Record<string, PathParameter>>;
  readonly query?: Schema;
  readonly headers?: Entries;
  readonly body?: Body<unknown>;
  /** What a repetition under the same `Idempotency-Key` does; unless said, it ends the same without one. */
  readonly idempotency?: string;
  /** Whether what is read or changed has a version, by `ETag`. */
  readonly versioned?: boolean;
  readonly answers: Readonly<Record<number, Answer>>;
  /** What else it may answer; what follows from the rest of its declaration is added. */
  readonly problems: readonly ErrorCode[];
}

export interface Operation<
  Path extends string,
  Query extends Schema,
  Headers extends Entries,
  Content,
  Allowed extends Permission | undefined,
  Caller,
> extends Declaration {
  readonly path: Path;
  readonly permission?: Allowed;
  readonly params?: Readonly<Record<NamesIn<Path>, PathParameter>>;
  readonly query?: Query;
  readonly headers?: Headers;
  readonly body?: Body<Content>;
  readonly handle: (
    call: Call<Path, Query, Headers, Content, Allowed extends Permission ? Caller : undefined>,
  ) => Reply | Response | Promise<Reply | Response>;
}

/** A request whose caller may make it and whose parts are what the declaration says. */
export interface Call<
  Path extends string,
  Query extends Schema,
  Headers extends Entries,
  Content,
  Caller,
> {
  readonly caller: Caller;
  readonly params: Readonly<Record<NamesIn<Path>, string>>;
  readonly query: v.InferOutput<Query>;
  readonly headers: v.InferOutput<v.ObjectSchema<Headers, undefined>>;
  readonly body: Content;
  readonly idempotencyKey: string | undefined;
  /** Of a change to what has a version: to be compared with the version that is changed. */
  readonly precondition: Precondition;
  readonly request: Request;
  /** What only some runtimes have. */
  readonly context: Context;
  /** Work that outlives the answer. */
  later(task: Promise<unknown>): void;
}

export type Reply = Failure | Success;

interface Success {
  readonly ok: true;
  readonly status: number;
  /** Absent where the answer has no body. */
  readonly value?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly version?: number;
}

export function reply(value: object, more: Partial<Omit<Success, "ok" | "value">> = {}): Reply {
  return { ok: true, status: 200, value, ...more };
}

export function noContent(): Reply {
  return { ok: true, status: 204 };
}
