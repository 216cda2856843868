/** A small server shows what one declaration does with each request, and how it is documented. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import type { ErrorCode } from "../domain/error-codes.ts";
import { failure, success } from "../domain/result.ts";
import type { Bearer } from "./bearer.ts";
import { json } from "./body.ts";
import { id, wholeNumber } from "./field.ts";
import { noContent, reply } from "./operation.ts";
import { Service } from "./service.ts";

interface Caller extends Bearer {
  readonly name: string;
}
class StoreAway extends Error {
  override readonly name = "StoreAway";
}
interface Logged {
  readonly code: ErrorCode;
  readonly name: string;
  readonly at: string | undefined;
}

const ID = { pattern: /^[a-z]{1,8}$/, unknown: "SIGNAL_UNKNOWN" } as const;
const Thing = v.object({ name: v.string() });

function start() {
  const logged: Logged[] = [];
  const service = new Service<Caller>({
    info: { title: "Things", version: "1" },
    verify: (token) =>
      token.startsWith("t-")
        ? success({ name: "someone", permissions: new Set(token.slice(2).split("+")) })
        : failure("TOKEN_INVALID"),
    codeOf: (error) => (error instanceof StoreAway ? "STORE_UNAVAILABLE" : undefined),
    onFailure: (code, error) => logged.push({ code, ...error }),
    problems: ["BODY_TOO_LARGE"],
  });
  service.serve({
    method: "PUT",
    path: "/v1/boxes/:box/things/:thing",
    operationId: "putThing",
    summary: "Put a thing into a box",
    permission: "records:write",
    params: { box: ID, thing: { ...ID, unknown: "CHANNEL_UNKNOWN" } },
    query: v.strictObject({ at: v.optional(id) }),
    headers: { "X-Colour": v.optional(id) },
    body: json(v.strictObject({ size: wholeNumber(1, 9) })),
    versioned: true,
    answers: { 200: { description: "It is there.", body: Thing } },
    problems: ["SUBSCRIPTION_LIMIT"],
    handle({ params, query, headers, body, caller, idempotencyKey, precondition }) {
      const stale = precondition.refusal(3);
      if (stale) return stale;
      const { box, thing } = params;
      const value = { box, thing, query, headers, body, by: caller.name, idempotencyKey };
      return reply(value, { version: 4 });
    },
  });
  service.serve({
    method: "GET",
    path: "/v1/things/:id",
    operationId: "readThing",
    summary: "A thing",
    params: { id: ID },
    versioned: true,
    answers: { 200: { description: "The thing.", body: Thing } },
    problems: [],
    async handle({ params: { id: wanted } }) {
      if (wanted === "bug") throw new RangeError(`s3cret of ${wanted}`);
      if (wanted === "away") throw new StoreAway("s3cret");
      return reply({ name: wanted }, { version: 7 });
    },
  });
  service.serve({
    method: "DELETE",
    path: "/v1/things/:id",
    operationId: "removeThing",
    summary: "Remove a thing",
    params: { id: ID },
    answers: { 204: { description: "It is gone." } },
    problems: [],
    handle: () => noContent(),
  });
  service.refuseOtherMethods();
  return { service, logged };
}

const { service, logged } = start();

async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
) {
  const init = { method, headers, ...(body === undefined ? {} : { body }) };
  const response = await service.app.request(path, init);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}

const PUT = "/v1/boxes/red/things/ball";
const GOOD = { authorization: "Bearer t-records:write", "content-type": "application/json" };

test("a request reaches its handler with each part checked and typed", async () => {
  const answer = await ask(
    "PUT",
    `${PUT}?at=top`,
    { ...GOOD, "x-colour": "green", "idempotency-key": "k", "if-match": '"3"' },
    '{"size":3}',
  );
  expect([answer.status, answer.headers.get("etag")]).toEqual([200, '"4"']);
  expect(answer.body).toEqual({
    box: "red",
    thing: "ball",
    query: { at: "top" },
    headers: { "X-Colour": "green" },
    body: { size: 3 },
    by: "someone",
    idempotencyKey: "k",
  });
});

test("a request that does not match the declaration is refused with a code, the token first", async () => {
  const { authorization: _, ...anyone } = GOOD;
  for (const [path, headers, body, status, code] of [
    [PUT, anyone, "{", 401, "TOKEN_MISSING"],
    [PUT, { ...GOOD, authorization: "Bearer x" }, "{", 401, "TOKEN_INVALID"],
    [PUT, { ...GOOD, authorization: "Bearer t-records:read" }, "{", 403, "TOKEN_SCOPE"],
    ["/v1/boxes/RED/things/ball", GOOD, "{}", 404, "SIGNAL_UNKNOWN"],
    ["/v1/boxes/red/things/9", GOOD, "{}", 404, "CHANNEL_UNKNOWN"],
    [`${PUT}?at=`, GOOD, "{}", 400, "QUERY_INVALID"],
    [`${PUT}?at=a&at=a`, GOOD, "{}", 400, "QUERY_INVALID"],
    [`${PUT}?other=a`, GOOD, "{}", 400, "QUERY_INVALID"],
    [PUT, { ...GOOD, "x-colour": "light green" }, "{}", 400, "HEADER_INVALID"],
    [PUT, { ...GOOD, "idempotency-key": "a b" }, "{}", 400, "HEADER_INVALID"],
    [PUT, { ...GOOD, "if-match": "3" }, "{}", 400, "HEADER_INVALID"],
    [PUT, GOOD, "{", 400, "BODY_MALFORMED"],
    [PUT, GOOD, '{"size":0}', 422, "BODY_INVALID"],
    [PUT, { ...GOOD, "if-match": '"2"' }, '{"size":1}', 412, "VERSION_STALE"],
    ["/v1/nothing", GOOD, "{}", 404, "ROUTE_UNKNOWN"],
  ] as const) {
    const answer = await ask("PUT", path, headers, body);
    expect([path, answer.status, answer.body["code"]]).toEqual([path, status, code]);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
  }
});

test("an address lists its methods, and refuses any other", async () => {
  const answer = await ask("POST", "/v1/things/ball");
  expect([answer.status, answer.body["code"]]).toEqual([405, "METHOD_NOT_ALLOWED"]);
  expect(answer.headers.get("allow")).toBe("GET, HEAD, DELETE");
});

test("an answer without a body has none, and a known version is not sent again", async () => {
  expect(await ask("DELETE", "/v1/things/ball")).toMatchObject({ status: 204, text: "" });
  const known = await ask("GET", "/v1/things/ball", { "if-none-match": '"7"' });
  expect([known.status, known.text, known.headers.get("etag")]).toEqual([304, "", '"7"']);
  const other = await ask("GET", "/v1/things/ball", { "if-none-match": '"6"' });
  expect([other.status, other.body]).toEqual([200, { name: "ball" }]);
  expect((await ask("HEAD", "/v1/things/ball")).status).toBe(200);
});

test("a bug is INTERNAL and is logged by name and place without its message; a store that does not answer has its own code", async () => {
  logged.length = 0;
  const bug = await ask("GET", "/v1/things/bug");
  expect([bug.status, bug.body["code"]]).toEqual([500, "INTERNAL"]);
  const away = await ask("GET", "/v1/things/away");
  expect([away.status, away.body["code"]]).toEqual([503, "STORE_UNAVAILABLE"]);
  const at = expect.stringMatching(/^http\/service\.test\.ts:\d+$/) as unknown;
  expect(logged as unknown[]).toEqual([
    { code: "INTERNAL", name: "RangeError", at },
    { code: "STORE_UNAVAILABLE", name: "StoreAway", at },
  ]);
  expect(bug.text + away.text + JSON.stringify(logged)).not.toContain("s3cret");
});

test("a path whose names are not declared fails at the start", () => {
  expect(() => {
    start().service.serve({
      method: "GET",
      path: "/v1/other/:id",
      operationId: "readOther",
      summary: "Another",
      answers: { 200: { description: "It." } },
      problems: [],
      handle: () => noContent(),
    });
  }).toThrow(TypeError);
});

interface Described {
  readonly parameters: readonly { name: string; in: string; required: boolean }[];
  readonly responses: Record<string, { content?: Record<string, { schema: object }> }>;
  readonly description?: string;
  readonly requestBody?: object;
  readonly security?: object;
}

test("the document lists all input and answers, and is created once", () => {
  const document = service.document();
  expect(service.document()).toBe(document);
  const paths = document.paths as Record<string, Record<string, Described>>;
  expect(Object.keys(paths)).toEqual(["/v1/boxes/{box}/things/{thing}", "/v1/things/{id}"]);
  expect(Object.keys(paths["/v1/things/{id}"] ?? {})).toEqual(["get", "delete"]);
  const put = paths["/v1/boxes/{box}/things/{thing}"]!["put"]!;
  expect(put.parameters.map((each) => [each.in, each.name, each.required])).toEqual([
    ["path", "box", true],
    ["path", "thing", true],
    ["query", "at", false],
    ["header", "X-Colour", false],
    ["header", "Idempotency-Key", false],
    ["header", "If-Match", false],
  ]);
  expect(put.description).toBe("Needs a token with the permission `records:write`.");
  expect(put.security).toEqual([{ bearer: [] }]);
  expect(put.requestBody).toMatchObject({
    required: true,
    content: { "application/json": { schema: { properties: { size: { maximum: 9 } } } } },
  });
  const codes = Object.entries(put.responses).flatMap(([status, { content }]) => {
    const problem = content?.["application/problem+json"]?.schema as
      { properties: { code: { enum: string[] } } } | undefined;
    return problem?.properties.code.enum.map((code) => `${status} ${code}`) ?? [];
  });
  expect(codes).toEqual([
    "400 QUERY_INVALID",
    "400 HEADER_INVALID",
    "400 BODY_MALFORMED",
    "401 TOKEN_MISSING",
    "401 TOKEN_INVALID",
    "401 TOKEN_EXPIRED",
    "403 TOKEN_SCOPE",
    "404 SIGNAL_UNKNOWN",
    "404 CHANNEL_UNKNOWN",
    "405 METHOD_NOT_ALLOWED",
    "409 SUBSCRIPTION_LIMIT",
    "412 VERSION_STALE",
    "413 BODY_TOO_LARGE",
    "415 BODY_TYPE_UNSUPPORTED",
    "422 BODY_INVALID",
    "500 INTERNAL",
  ]);
  const remove = paths["/v1/things/{id}"]!["delete"]!;
  expect(remove.responses["204"]).toEqual({ description: "It is gone." } as never);
  expect(Object.keys(paths["/v1/things/{id}"]!["get"]!.responses)).toContain("304");
});
