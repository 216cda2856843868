/** Requests of a provider, and the parts of the answers that tests read. */
import { SIGNING_SECRET } from "./world.ts";
import { Webhook } from "standardwebhooks";

export const SIGNAL = {
  channel: "demo",
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
  durationSeconds: 30,
} as const;

const { channel: _, ...HOOK_SIGNAL } = SIGNAL;
export { HOOK_SIGNAL };

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const { status, headers } = response;
  return { status, headers, text, body: JSON.parse(text) as Record<string, unknown> };
}

export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return await readAnswer(
    await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    }),
  );
}

/** The headers of a Standard Webhooks delivery. */
export function signed(
  id: string,
  body: string,
  { at = new Date(), prefix = "webhook" } = {},
): Record<string, string> {
  return {
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: String(Math.floor(at.getTime() / 1000)),
    [`${prefix}-signature`]: new Webhook(SIGNING_SECRET).sign(id, at, body),
  };
}

export interface ServerEvent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** The events of a stream, as they come. */
export async function* readEvents(response: Response): AsyncGenerator<ServerEvent, void, void> {
  let buffer = "";
  const stream = response.body as ReadableStream<Uint8Array<ArrayBuffer>>;
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    buffer += text;
    const events = buffer.split("\n\n");
    buffer = events.pop() ?? "";
    for (const each of events) {
      const [, event = "", data = ""] = /^event: (\w+)\ndata: (.*)$/.exec(each) ?? [];
      yield { event, data: JSON.parse(data) as Record<string, unknown> };
    }
  }
}

export type Message = Record<string, unknown>;

/** A socket whose messages are taken one after the other. */
export async function connect(url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url.replace("http", "ws"), { headers });
  const messages: Message[] = [];
  let arrived = Promise.withResolvers<void>();
  socket.addEventListener("message", (event) => {
    messages.push(JSON.parse(String(event.data)) as Message);
    arrived.resolve();
  });
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener("close", (event) => {
      resolve(event.code);
    });
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return {
    closed,
    send(message: unknown): void {
      socket.send(typeof message === "string" ? message : JSON.stringify(message));
    },
    async next(): Promise<Message> {
      for (;;) {
        const message = messages.shift();
        if (message) return message;
        arrived = Promise.withResolvers<void>();
        await arrived.promise;
      }
    },
    close(): void {
      socket.close();
    },
  };
}
