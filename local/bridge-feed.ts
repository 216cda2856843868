/**
 * Published messages as server-sent events, in the form of the REST protocol:
 * `subscribe,<channel>,<count>` first, then `message,<channel>,<payload>`. When Redis becomes
 * unreachable every feed ends, so that its reader knows that it may have missed messages.
 */
import { RedisClient } from "bun";
import { RedisUnavailable } from "./bridge-connection.ts";

const HEARTBEAT_MS = 15_000;
/** A reader that is this far behind is disconnected, so that memory does not grow. */
const BACKLOG_CHUNKS = 1_024;

type Feed = ReadableStreamDefaultController<Uint8Array>;

export class Feeds {
  readonly #url: string;
  readonly #open = new Set<Feed>();
  #client: Promise<RedisClient> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** A stream of one channel's messages; cancelling it ends the subscription. */
  async subscribe(channel: string): Promise<ReadableStream<Uint8Array>> {
    this.#client ??= this.#connect();
    const client = await this.#client;
    const encoder = new TextEncoder();
    let heartbeat: ReturnType<typeof setInterval> | undefined;
    let feed: Feed | undefined;

    const write = (text: string) => {
      if (!feed || !this.#open.has(feed)) return;
      if ((feed.desiredSize ?? 0) <= 0) this.#end(feed);
      else feed.enqueue(encoder.encode(text));
    };
    const listener = (message: string) => {
      // A raw line break would end the event; in JSON it can only be whitespace between tokens.
      write(`data: message,${channel},${message.replaceAll(/[\r\n]+/g, " ")}\n\n`);
    };
    const release = async () => {
      clearInterval(heartbeat);
      if (feed) this.#open.delete(feed);
      // A closed connection has no subscriptions any more.
      await client.unsubscribe(channel, listener).catch(() => undefined);
    };

    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          feed = controller;
          this.#open.add(controller);
        },
        cancel: release,
      },
      { highWaterMark: BACKLOG_CHUNKS },
    );
    try {
      const count = await client.subscribe(channel, listener);
      write(`data: subscribe,${channel},${count}\n\n`);
    } catch {
      // The reason does not matter to the caller, who tries again.
      if (feed) this.#end(feed);
      throw new RedisUnavailable();
    }
    heartbeat = setInterval(() => {
      if (feed && this.#open.has(feed)) write(": alive\n\n");
      else void release();
    }, HEARTBEAT_MS);
    return stream;
  }

  close(): void {
    const client = this.#client;
    this.#endAll();
    client?.then(
      (each) => {
        each.close();
      },
      () => undefined,
    );
  }

  async #connect(): Promise<RedisClient> {
    const client = new RedisClient(this.#url, {
      autoReconnect: false,
      connectionTimeout: 2_000,
      idleTimeout: 0,
    });
    try {
      await client.connect();
    } catch {
      // As above.
      this.#client = undefined;
      throw new RedisUnavailable();
    }
    client.onclose = () => {
      this.#endAll();
    };
    return client;
  }

  #endAll(): void {
    this.#client = undefined;
    for (const feed of this.#open) this.#end(feed);
  }

  #end(feed: Feed): void {
    this.#open.delete(feed);
    feed.close();
  }
}
