/**
 * A Redis behind the Upstash REST protocol. Nothing is retried here: a write whose reply was lost
 * may have taken effect, and only the caller knows whether it may be repeated. The library's error
 * messages are dropped, because they quote the whole command.
 */
import { Redis } from "@upstash/redis/cloudflare";
import { evaluate, evaluateAll } from "./evaluate.ts";
import type { Script } from "../redis/script.ts";
import { failure, success, type Result } from "../domain/result.ts";
import { log } from "./log.ts";

/** Short enough that a hook, which needs two or three calls, answers within its sender's three seconds. */
const TIMEOUT_MS = 1_000;

export interface StoreAddress {
  readonly url: string;
  readonly token: string;
}

export interface HashFields {
  readonly key: string;
  readonly fields: readonly string[];
}

export interface SetMembers {
  readonly key: string;
  readonly members: readonly string[];
}

export interface Store {
  run<Args, Reply>(script: Script<Args, Reply>, args: Args): Promise<Result<Reply>>;
  /** Several runs in one request. Not atomic together. */
  runAll<Args, Reply>(script: Script<Args, Reply>, each: readonly Args[]): Promise<Result<Reply[]>>;
  get(key: string): Promise<Result<string | null>>;
  hasField(key: string, field: string): Promise<Result<boolean>>;
  /** One `HMGET` each, in one request. */
  readHashes(hashes: readonly HashFields[]): Promise<Result<unknown[]>>;
  /** One `ZREM` each, in one request. */
  removeMembers(sets: readonly SetMembers[]): Promise<Result<unknown[]>>;
  /**
   * Calls `wake` once it is listening and at each message, until stopped or disconnected. Never
   * throws.
   */
  listen(channel: string, stop: AbortSignal, wake: () => void): Promise<void>;
}

export function openStore({ url, token }: StoreAddress): Store {
  const redis = new Redis({
    url,
    token,
    retry: { retries: 0 },
    enableTelemetry: false,
    automaticDeserialization: false,
    enableAutoPipelining: false,
    responseEncoding: false,
    signal: () => AbortSignal.timeout(TIMEOUT_MS),
  });
  return {
    run: async (script, args) =>
      readReply(await answer(() => evaluate(redis, script, args)), (raw) =>
        script.reply(raw, args),
      ),
    runAll: async (script, each) =>
      readReply(await answer(() => evaluateAll(redis, script, each)), (replies) =>
        replies.flatMap((reply, index) => {
          const args = each[index];
          return args === undefined ? [] : [script.reply(reply, args)];
        }),
      ),
    get: (key) => answer(() => redis.get<string>(key)),
    hasField: async (key, field) =>
      readReply(await answer(() => redis.hexists(key, field)), (reply) => reply === 1),
    readHashes: (hashes) => {
      const pipeline = redis.pipeline();
      for (const { key, fields } of hashes) pipeline.hmget(key, ...fields);
      return answer(() => pipeline.exec<unknown[]>());
    },
    removeMembers: (sets) => {
      const pipeline = redis.pipeline();
      for (const { key, members } of sets) pipeline.zrem(key, ...members);
      return answer(() => pipeline.exec<unknown[]>());
    },
    async listen(channel, stop, wake) {
      try {
        const response = await fetch(`${url.replace(/\/$/, "")}/subscribe/${channel}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
          signal: stop,
        });
        // A message says only that something has changed, so its content does not matter.
        const reader = response.ok ? response.body?.getReader() : undefined;
        while (reader && !(await reader.read()).done) wake();
      } catch {
        // Disconnected: a watcher polls each second anyway.
      }
    },
  };
}

async function answer<T>(call: () => Promise<T>): Promise<Result<T>> {
  try {
    return success(await call());
  } catch (error) {
    log.warn("the store does not answer", { error: (error as Error).name });
    return failure("STORE_UNAVAILABLE");
  }
}

/** Outside of `answer`, so that a reply of the wrong shape shows as a bug. */
function readReply<T, U>(result: Result<T>, read: (value: T) => U): Result<U> {
  return result.ok ? success(read(result.value)) : result;
}
