/**
 * The bridge's connection to Redis. It speaks RESP2, whose reply shapes are those of the REST
 * protocol. While Redis does not answer, every call fails at once instead of queueing, and the next
 * call after its return reconnects.
 */
import { RedisClient } from "bun";
import type { Command } from "./bridge-command.ts";

/** Redis is not reachable, or did not answer in time. Whether a command took effect is unknown. */
export class RedisUnavailable extends Error {}

/** A reply, or the error that Redis returned. */
export type Reply = { readonly result: unknown } | { readonly error: string };

const ANSWER_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 2_000;

export class Connection {
  readonly #url: string;
  #client: Promise<RedisClient> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /**
   * Sends the commands directly one after the other, with no other caller's commands between them.
   */
  async send(commands: readonly Command[]): Promise<Reply[]> {
    const client = await this.client();
    const replies = Promise.all(
      commands.map(([name, ...args]) =>
        client.send(name, args).then((result: unknown) => ({ result }), toReply),
      ),
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // Everything else that waits on this connection would wait in vain too.
        this.#client = undefined;
        client.close();
        reject(new RedisUnavailable());
      }, ANSWER_TIMEOUT_MS);
    });
    try {
      return await Promise.race([replies, timeout]);
    } finally {
      clearTimeout(timer);
      // After the time limit, the late rejection has no handler any more.
      replies.catch(() => undefined);
    }
  }

  /** The open client; shared by those who ask while it connects. */
  async client(): Promise<RedisClient> {
    this.#client ??= this.#connect();
    return await this.#client;
  }

  close(): void {
    const open = this.#client;
    this.#client = undefined;
    open?.then(
      (client) => {
        client.close();
      },
      () => undefined,
    );
  }

  async #connect(): Promise<RedisClient> {
    const client = new RedisClient(this.#url, {
      autoReconnect: false,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      idleTimeout: 0,
    });
    const forget = () => {
      this.#client = undefined;
    };
    try {
      await client.connect();
      await client.send("HELLO", ["2"]);
    } catch {
      // The reason does not matter to the caller, who tries again.
      forget();
      client.close();
      throw new RedisUnavailable();
    }
    client.onclose = forget;
    return client;
  }
}

function toReply(error: unknown): Reply {
  if (isServerError(error)) return { error: error.message };
  throw new RedisUnavailable();
}

export function isServerError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_REDIS_SERVER_ERROR";
}
