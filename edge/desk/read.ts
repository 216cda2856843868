/** Reads from any desk server that answers, and passes the body on as it comes. */
import { failure } from "../../domain/result.ts";
import { problemResponse } from "../../http/problem.ts";
import type { Sender } from "./relay.ts";
import { log } from "../log.ts";

const FIRST_BYTE_LIMIT_MS = 10_000;
/** A read may be repeated, but not for ever. */
const MOST_TRIES = 4;

export async function readFromDesk(
  { servers, user, later }: Sender,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const server = await servers.choose(user, later);
    if (server === undefined) break;
    const left = new AbortController();
    const timer = setTimeout(() => left.abort(), FIRST_BYTE_LIMIT_MS);
    try {
      const response = await servers.fetch(server, path, { signal: left.signal });
      if (response.ok) {
        const type = response.headers.get("content-type") ?? "application/octet-stream";
        return new Response(response.body, { headers: { "content-type": type, ...headers } });
      }
      await response.body?.cancel();
    } catch (error) {
      // Another server is asked.
      log.warn("a desk server does not answer", { error: (error as Error).name });
    } finally {
      clearTimeout(timer);
    }
    servers.leaveOut(server);
  }
  return problemResponse(failure("DESK_UNAVAILABLE"));
}
