/** Bun's Redis client with the two things that every role needs: scripts by their hash, and patience while Redis restarts. */
import { createHash } from "node:crypto";
import { RedisClient } from "bun";
import type { Script } from "../redis/script.ts";
import { connectCluster } from "./redis-cluster.ts";

/**
 * All that a worker asks of a Redis. Replies are of the shapes of RESP3, as
 * Bun's client gives them.
 */
export interface Redis {
  send(command: string, args: string[]): Promise<unknown>;
  /** Each primary of a cluster, for commands that no key leads to a node; absent where there is one Redis. */
  primaries?(): Promise<readonly Pick<Redis, "send">[]>;
  close(): void;
}

/**
 * A connection to one Redis, or to a cluster of them where the URL starts with
 * `redis-cluster:`, that reconnects for as long as it takes. Commands in flight
 * when the connection drops are rejected: whether they took effect is unknown,
 * and the caller repeats only what is idempotent.
 */
export function connectRedis(url: string): Redis {
  if (url.startsWith("redis-cluster:")) return connectCluster(url);
  return new RedisClient(url, {
    autoReconnect: true,
    maxRetries: 0xffff_ffff,
    connectionTimeout: 5_000,
    idleTimeout: 0,
  });
}

const hashes = new Map<string, string>();

function sha1Of(lua: string): string {
  const known = hashes.get(lua);
  if (known !== undefined) return known;
  const hash = createHash("sha1").update(lua).digest("hex");
  hashes.set(lua, hash);
  return hash;
}

/** Runs a script by its hash, sending its text only to a Redis that does not have it yet. */
export async function run<Args, Reply>(
  redis: Redis,
  script: Script<Args, Reply>,
  args: Args,
): Promise<Reply> {
  const keys = script.keys(args);
  const tail = [String(keys.length), ...keys, ...script.args(args)];
  let raw: unknown;
  try {
    raw = await redis.send("EVALSHA", [sha1Of(script.lua), ...tail]);
  } catch (error) {
    if (!String((error as Error).message).startsWith("NOSCRIPT")) throw error;
    raw = await redis.send("EVAL", [script.lua, ...tail]);
  }
  return script.reply(raw, args);
}
