/** Connections to a Redis, or to a cluster of them, that survive its restarts. */
import { RedisClient } from "bun";
import { connectCluster } from "./redis-cluster.ts";
import type { Redis } from "./redis.ts";

/**
 * A connection to one Redis, or to a cluster if the URL starts with `redis-cluster:`. It reconnects
 * without limit. Commands in flight when the connection drops are rejected: whether they took
 * effect is unknown, and the caller repeats only idempotent commands.
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
