import { afterAll, expect, test } from "bun:test";
import { openEdge, type Edge } from "./edge.ts";
import { readEnv } from "./env.ts";
import { forwardToRecords, progressFromRecords } from "./records.ts";
import type { Caller } from "./tokens.ts";

const seen: { method: string; url: string; headers: Headers; body: string }[] = [];
/** A stand-in for the records API that reports the requests that reached it. */
const upstream = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { method, headers } = request;
    const url = request.url.slice(upstream.url.href.length - 1);
    seen.push({ method, url, headers, body: await request.text() });
    const missing = url.endsWith("0");
    return new Response(missing ? "absent" : '{"id":"x"}', {
      status: missing ? 404 : 200,
      headers: { "x-from": "records", "proxy-authenticate": "Basic" },
    });
  },
});
afterAll(() => upstream.stop(true));

function edgeWith(recordsUrl: string | undefined): Edge {
  const env = readEnv({
    FANFARE_HOME_URL: "http://127.0.0.1:1",
    FANFARE_HOME_TOKEN: "t",
    FANFARE_REGIONS: "{}",
    FANFARE_ISSUER_KEYS: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}',
    FANFARE_SEAL_KEY: "A".repeat(43),
    FANFARE_RECORDS_URL: recordsUrl,
  });
  if (!env.ok) throw new Error(env.faults.join());
  return openEdge(env.value, new AbortController().signal);
}
const edge = edgeWith(upstream.url.href);
const ask = async (path: string, init?: RequestInit, on = edge): Promise<Response> =>
  await forwardToRecords(on, new Request(`http://edge.example${path}`, init));

test("a request reaches the records API unchanged, except for headers about one connection", async () => {
  const answer = await ask("/v1/subscriptions/a?b=c", {
    method: "PATCH",
    headers: { authorization: "Bearer t", "proxy-authorization": "Basic x", te: "trailers" },
    body: '{"state":"paused"}',
  });
  const [request] = seen.splice(0);
  expect(request).toMatchObject({
    method: "PATCH",
    url: "/v1/subscriptions/a?b=c",
    body: '{"state":"paused"}',
  });
  expect(request?.headers.get("authorization")).toBe("Bearer t");
  expect(request?.headers.has("proxy-authorization")).toBe(false);
  expect(request?.headers.has("te")).toBe(false);
  expect(await answer.json()).toEqual({ id: "x" });
  expect(answer.headers.get("x-from")).toBe("records");
  expect(answer.headers.has("proxy-authenticate")).toBe(false);
});

test("a records API that is down or not configured is reported as such, and large bodies never reach it", async () => {
  const body = "x".repeat(16 * 1024 + 1);
  expect((await ask("/v1/sessions", { method: "POST", body })).status).toBe(413);
  expect(seen).toEqual([]);
  for (const address of [undefined, "http://127.0.0.1:1"]) {
    const answer = await ask("/v1/channels", {}, edgeWith(address));
    expect(await answer.json()).toMatchObject({ code: "RECORDS_UNAVAILABLE" });
  }
});

test("a signal that is no longer in Redis is requested in the caller's name", async () => {
  const caller: Caller = {
    person: "p" as never,
    permissions: new Set(),
    expiresAtMs: 0,
    token: "the-token",
  };
  const known = await progressFromRecords(edge, caller, "s0_1" as never);
  expect(await known.json()).toEqual({ id: "x" });
  const [request] = seen.splice(0);
  expect(request?.url).toBe("/v1/records/signals/s0_1");
  expect(request?.headers.get("authorization")).toBe("Bearer the-token");
  const missing = await progressFromRecords(edge, caller, "s0_0" as never);
  expect(await missing.json()).toMatchObject({ code: "SIGNAL_UNKNOWN" });
});
