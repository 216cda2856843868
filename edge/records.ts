/**
 * All addresses under `/v1` that the edge does not serve itself belong to the records API. It is
 * called in the caller's name.
 */
import type { SignalId } from "../domain/ids.ts";
import { readBytes } from "../http/body.ts";
import type { Edge } from "./edge.ts";
import { problemResponse } from "../http/problem.ts";
import { failure } from "../domain/result.ts";
import type { Caller } from "./tokens.ts";
import { log } from "./log.ts";

const TIMEOUT_MS = 10_000;

/** Headers that are about one connection or one encoding of the body, not about the message. */
const NOT_FORWARDED = [
  "connection",
  "content-encoding",
  "content-length",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

function endToEnd(headers: Headers): Headers {
  const kept = new Headers(headers);
  const named = (headers.get("connection") ?? "").split(",").map((each) => each.trim());
  for (const name of [...NOT_FORWARDED, ...named.filter((each) => /^[\w-]+$/.test(each))]) {
    kept.delete(name);
  }
  return kept;
}

/** Forwards a request and streams the answer back. Bodies are limited as everywhere at the edge. */
export async function forwardToRecords(edge: Edge, request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = await readBytes(request);
  if (!body.ok) return problemResponse(body);
  const bodiless = request.method === "GET" || request.method === "HEAD" || !body.value.length;
  const headers = endToEnd(request.headers);
  headers.set("accept-encoding", "identity");
  return askRecords(edge, pathname + search, {
    method: request.method,
    headers,
    ...(bodiless ? {} : { body: body.value }),
  });
}

/** A signal that is no longer in Redis, as the records know it. */
export async function progressFromRecords(
  edge: Edge,
  caller: Caller,
  id: SignalId,
): Promise<Response> {
  if (edge.recordsUrl === undefined) return problemResponse(failure("SIGNAL_UNKNOWN"));
  const response = await askRecords(edge, `/v1/records/signals/${id}`, {
    headers: { authorization: `Bearer ${caller.token}` },
  });
  if (response.status === 200 || response.status === 503) return response;
  await response.body?.cancel();
  return problemResponse(
    failure(response.status === 404 ? "SIGNAL_UNKNOWN" : "RECORDS_UNAVAILABLE"),
  );
}

async function askRecords(edge: Edge, path: string, init: RequestInit): Promise<Response> {
  if (edge.recordsUrl === undefined) return problemResponse(failure("RECORDS_UNAVAILABLE"));
  try {
    const response = await fetch(edge.recordsUrl.replace(/\/$/, "") + path, {
      ...init,
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return new Response(response.body, {
      status: response.status,
      headers: endToEnd(response.headers),
    });
  } catch (error) {
    log.warn("the records API does not answer", { error: (error as Error).name });
    return problemResponse(failure("RECORDS_UNAVAILABLE"));
  }
}
