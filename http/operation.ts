/**
 * An operation: its address, who may call it, its input and answers, and its handler. One
 * declaration serves each request and generates the OpenAPI document.
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
  /** The error for an address that names nothing. */
  readonly unknown: ErrorCode;
}

export interface Answer {
  readonly description: string;
  /** JSON. */
  readonly body?: Schema;
  /** Other media types. */
  readonly content?: Readonly<Record<string, Schema>>;
  /** Name → description. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The part of a declaration that does not depend on the types of its input. */
export interface Declaration {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  /** The permission that the token must have; absent if none is required. */
  readonly permission?: Permission | undefined;
  readonly params?: Readonly<Record<string, PathParameter>>;
  readonly query?: Schema;
  readonly headers?: Entries;
  readonly body?: Body<unknown>;
  /**
   * What a repeated request with the same `Idempotency-Key` does. Absent if the result is the same
   * without a key.
   */
  readonly idempotency?: string;
  /** Whether the resource has a version, given as `ETag`. */
  readonly versioned?: boolean;
  readonly answers: Readonly<Record<number, Answer>>;
  /**
   * Further errors that it may answer; those that follow from the rest of the declaration are
   * added.
   */
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

/** A permitted request whose parts match the declaration. */
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
  /** For a change of a resource with a version: to be compared with the current version. */
  readonly precondition: Precondition;
  readonly request: Request;
  /** Present on some runtimes only. */
  readonly context: Context;
  /** Work that outlives the answer. */
  later(task: Promise<unknown>): void;
}

export type Reply = Failure | Success;

interface Success {
  readonly ok: true;
  readonly status: number;
  /** Absent if the answer has no body. */
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
