/**
 * A Redis Cluster with the interface of a Redis: ioredis follows slots, redirections and failovers.
 * It speaks RESP2; replies that differ are converted here to the shapes of RESP3, which all other
 * code expects.
 */
import { Cluster } from "ioredis";
import type { Redis } from "./redis.ts";

/**
 * A call whose node was lost hangs instead of failing: after this time the caller treats its result
 * as unknown.
 */
const CALL_TIMEOUT_MS = 3_000;
const LONGEST_PAUSE_MS = 500;

/**
 * `redis-cluster://host:port?nodes=host:port,host:port`: any of its nodes, which name the others;
 * give more than one in case the first does not answer.
 */
export function connectCluster(url: string): Redis {
  const { host, searchParams } = new URL(url);
  const others = searchParams.get("nodes")?.split(",") ?? [];
  const nodes = [host, ...others].map((each) => {
    const [name = "", port = "6379"] = each.split(":");
    return { host: name, port: Number(port) };
  });
  const cluster = new Cluster(nodes, {
    clusterRetryStrategy: (times) => Math.min(50 * times, LONGEST_PAUSE_MS),
    slotsRefreshTimeout: CALL_TIMEOUT_MS,
    // A command whose connection broke is not sent again: it may have been done, and what it read is pending.
    retryDelayOnFailover: 0,
    redisOptions: {
      commandTimeout: CALL_TIMEOUT_MS,
      maxRetriesPerRequest: null,
      autoResendUnfulfilledCommands: false,
    },
  });
  // Without a listener the library prints errors itself, with addresses; the calls report what
  // matters.
  cluster.on("error", () => undefined);
  return {
    async send(command, args) {
      return shape(command, await cluster.call(command, ...args));
    },
    async primaries() {
      // The nodes are not known before the first answer.
      await cluster.call("PING");
      return cluster.nodes("master").map((node) => ({
        send: async (command, args) => shape(command, await node.call(command, ...args)),
      }));
    },
    close() {
      cluster.disconnect();
    },
  };
}

function shape(command: string, reply: unknown): unknown {
  if (!Array.isArray(reply)) return reply;
  if (command === "HGETALL") return Object.fromEntries(pairs(reply));
  if (command === "XREADGROUP") return Object.fromEntries(reply as [string, unknown][]);
  if (command === "XINFO")
    return reply.map((group) => Object.fromEntries(pairs(group as unknown[])));
  return reply;
}

function pairs(flat: readonly unknown[]): [string, unknown][] {
  const found: [string, unknown][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    found.push([String(flat[index]), flat[index + 1]]);
  }
  return found;
}
