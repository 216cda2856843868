/**
 * Runs scripts on a real Redis, one at a time, and reads the resulting data. One Redis serves all
 * tests of a file.
 */
import type { Script } from "../../redis/script.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import { clear, startRedis } from "./redis.ts";

export interface ScriptRedis {
  /** The connection that a worker would use. */
  readonly client: Redis;
  run<Args, Reply>(script: Script<Args, Reply>, args: Args): Promise<Reply>;
  send(command: string, ...args: string[]): Promise<unknown>;
  /** The time of its clock, epoch milliseconds. */
  nowMs(): Promise<number>;
  hash(key: string): Promise<Readonly<Record<string, string>>>;
  /** A stream's entries, oldest first, in the shape for parsers. */
  entries(stream: string): Promise<ReadonlyMap<string, string>[]>;
  entryIds(stream: string): Promise<string[]>;
  /** All stored data, for a later comparison, without the times to live. */
  everything(): Promise<ReadonlyMap<string, string>>;
  clear(): Promise<void>;
  stop(): Promise<void>;
}

export async function startScriptRedis(): Promise<ScriptRedis> {
  const server = await startRedis();
  const redis = connectRedis(server.url);
  const range = async (stream: string) =>
    (await redis.send("XRANGE", [stream, "-", "+"])) as [id: string, fields: string[]][];
  return {
    client: redis,
    run: (script, args) => run(redis, script, args),
    send: (command, ...args) => redis.send(command, args),
    async nowMs() {
      const [seconds, micros] = (await redis.send("TIME", [])) as string[];
      return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    },
    hash: async (key) => (await redis.send("HGETALL", [key])) as Record<string, string>,
    entries: async (stream) => (await range(stream)).map(([, flat]) => pair(flat)),
    entryIds: async (stream) => (await range(stream)).map(([id]) => id),
    async everything() {
      const flat = (await redis.send("EVAL", [DIGESTS_LUA, "0"])) as string[];
      return pair(flat);
    },
    clear: () => clear(redis),
    async stop() {
      redis.close();
      await server.stop();
    },
  };
}

/** Dumps are binary; their hashes are text. */
const DIGESTS_LUA = `
local digests, keys = {}, redis.call('KEYS', '*')
table.sort(keys)
for _, key in ipairs(keys) do
  digests[#digests + 1] = key
  digests[#digests + 1] = redis.sha1hex(redis.call('DUMP', key))
end
return digests
`;

function pair(flat: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    fields.set(flat[index] ?? "", flat[index + 1] ?? "");
  }
  return fields;
}
