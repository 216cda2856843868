import { expect, test } from "bun:test";
import * as v from "valibot";
import { acceptJson } from "./body.ts";
import { createDocument, mergeDocuments } from "./openapi.ts";

const INFO = { title: "Things", version: "1" };

test("bodies of several shapes and answers of other media types are documented as such", () => {
  const [A, B] = [v.object({ a: v.string() }), v.object({ b: v.string() })];
  const { paths } = createDocument(
    INFO,
    [
      {
        method: "POST",
        path: "/v1/a/:id/b",
        operationId: "send",
        summary: "Send",
        params: { id: { pattern: /^x$/, unknown: "SIGNAL_UNKNOWN" } },
        body: acceptJson<unknown>([A, B], (value) => ({ ok: true, value })),
        answers: {
          202: { description: "Taken.", headers: { Location: "Where it is." } },
          200: { description: "A stream.", content: { "text/event-stream": v.string() } },
        },
        problems: [],
      },
    ],
    [],
  ) as { paths: Record<string, unknown> };
  expect(paths["/v1/a/{id}/b"]).toMatchObject({
    post: {
      requestBody: {
        content: {
          "application/json": {
            schema: {
              anyOf: [{ properties: { a: { type: "string" } } }, { properties: { b: {} } }],
            },
          },
        },
      },
      responses: {
        200: { content: { "text/event-stream": { schema: { type: "string" } } } },
        202: { headers: { Location: { description: "Where it is." } } },
      },
    },
  });
});

test("two merged documents keep their methods at one address, and the first document's entry is used", () => {
  const empty = createDocument(INFO, [], []);
  const own = { ...empty, paths: { "/v1/a": { post: 1 }, "/v1/b": { get: 1 } } };
  const theirs = { ...empty, paths: { "/v1/a": { get: 2, post: 2 }, "/v1/c": { get: 2 } } };
  expect(mergeDocuments(own, theirs).paths).toEqual({
    "/v1/a": { get: 2, post: 1 },
    "/v1/b": { get: 1 },
    "/v1/c": { get: 2 },
  });
  expect(mergeDocuments(own)).toEqual(own);
});
