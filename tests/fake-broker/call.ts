/** A call to the fake broker over HTTP and JSON. */
import type { IncomingMessage, ServerResponse } from "node:http";

export interface Call {
  /** Method and path: `POST /orders`. */
  readonly asked: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly response: ServerResponse;
  answer(value: unknown): void;
}

/** A listener for `createServer` that passes on complete calls. */
export function served(
  serve: (call: Call) => Promise<void>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://fake");
      void serve({
        asked: `${request.method} ${pathname}`,
        query: searchParams,
        body: text === "" ? {} : JSON.parse(text),
        response,
        answer(value) {
          response.setHeader("content-type", "application/json");
          response.end(JSON.stringify(value));
        },
      });
    });
  };
}
