import { expect, test } from "bun:test";
import * as v from "valibot";
import { bytes, json, MAX_BODY_BYTES, readBytes, unread } from "./body.ts";

const Thing = v.strictObject({ name: v.string("must be a text") });

function post(
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
): Request {
  return new Request("http://here/things", {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** A body of this many bytes, without a header that gives its length. */
function chunked(length: number): { readonly request: Request; readonly sent: () => number } {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent >= length) {
        controller.close();
        return;
      }
      const piece = new Uint8Array(Math.min(1_024, length - sent)).fill(32);
      sent += piece.length;
      controller.enqueue(piece);
    },
  });
  return { request: post(body, { "content-type": "text/plain" }), sent: () => sent };
}

test("a body matches its content type and the required shape, or is refused with a code", async () => {
  const read = async (request: Request) => await json(Thing).read(request);
  expect(await read(post('{"name":"a"}'))).toEqual({ ok: true, value: { name: "a" } });
  const typed = { "content-type": "Application/JSON; charset=utf-8" };
  expect((await read(post('{"name":"a"}', typed))).ok).toBe(true);
  expect(await read(post("{"))).toMatchObject({ code: "BODY_MALFORMED" });
  expect(await read(post(new Uint8Array([34, 0xff, 34])))).toMatchObject({
    code: "BODY_MALFORMED",
  });
  expect(await read(post("{}", { "content-type": "text/plain" }))).toMatchObject({
    code: "BODY_TYPE_UNSUPPORTED",
  });
  expect(await read(post('{"name":7}'))).toEqual({
    ok: false,
    code: "BODY_INVALID",
    faults: [{ path: "name", message: "must be a text" }],
  });
});

test("a body is read to 16 KiB and no further, with or without a header that gives its length", async () => {
  const { request, sent } = chunked(10 * MAX_BODY_BYTES);
  expect(await readBytes(request)).toMatchObject({ code: "BODY_TOO_LARGE" });
  expect(sent()).toBeLessThan(2 * MAX_BODY_BYTES);
  const announced = post("x", { "content-length": String(MAX_BODY_BYTES + 1) });
  expect(await readBytes(announced)).toMatchObject({ code: "BODY_TOO_LARGE" });
  const most = await bytes({}).read(chunked(MAX_BODY_BYTES).request);
  expect(most.ok && most.value.length).toBe(MAX_BODY_BYTES);
});

test("a body that is left to the handler is not read", async () => {
  const { request } = chunked(10);
  expect(await unread({}).read(request)).toEqual({ ok: true, value: undefined });
  expect(request.bodyUsed).toBe(false);
});

test("a lenient reader takes any type and replaces invalid UTF-8, up to its limit", async () => {
  const options = { lenient: true, maxBytes: 2 * MAX_BODY_BYTES };
  const read = async (request: Request) => await json(v.any(), options).read(request);
  const plain = { "content-type": "text/plain" };
  for (const announced of [{}, { "content-length": "3" }]) {
    const bytes = new Uint8Array([34, 0xff, 34]);
    const request = post(new Blob([bytes]).stream(), { ...plain, ...announced });
    expect(await read(request)).toEqual({ ok: true, value: "\ufffd" });
    expect(await read(post(new Blob(["{"]).stream(), announced))).toMatchObject({
      code: "BODY_MALFORMED",
    });
  }
  const long = String(2 * MAX_BODY_BYTES + 1);
  expect(await read(post("1", { "content-length": long }))).toMatchObject({
    code: "BODY_TOO_LARGE",
  });
  const { request, sent } = chunked(10 * MAX_BODY_BYTES);
  expect(await read(request)).toMatchObject({ code: "BODY_TOO_LARGE" });
  expect(sent()).toBeLessThan(3 * MAX_BODY_BYTES);
});
