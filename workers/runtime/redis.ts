/** The interface of a Redis for the workers, and how a script is run there. */
import { createHash } from "node:crypto";
import type { Script } from "../../redis/script.ts";
import { crashPoint } from "./crash-point.ts";

/**
 * The calls that a worker makes to a Redis. Replies have the shapes of RESP3, as Bun's client
 * returns them.
 */
export interface Redis {
  send(command: string, args: string[]): Promise<unknown>;
  /** Each primary of a cluster, for commands without a key; absent for a single Redis. */
  primaries?(): Promise<readonly Pick<Redis, "send">[]>;
  close(): void;
}

const hashes = new Map<string, string>();

function sha1Of(lua: string): string {
  const known = hashes.get(lua);
  if (known !== undefined) return known;
  const hash = createHash("sha1").update(lua).digest("hex");
  hashes.set(lua, hash);
  return hash;
}

/**
 * Runs a script by its hash, sending its text only to a Redis that does not have
 * it yet. Crash tests end the process before or after it by the script's name.
 */
export async function run<Args, Reply>(
  redis: Redis,
  script: Script<Args, Reply>,
  args: Args,
): Promise<Reply> {
  const keys = script.keys(args);
  const tail = [String(keys.length), ...keys, ...script.args(args)];
  let raw: unknown;
  crashPoint(`before:${script.name}`);
  try {
    raw = await redis.send("EVALSHA", [sha1Of(script.lua), ...tail]);
  } catch (error) {
    if (!String((error as Error).message).startsWith("NOSCRIPT")) throw error;
    raw = await redis.send("EVAL", [script.lua, ...tail]);
  }
  crashPoint(`after:${script.name}`);
  return script.reply(raw, args);
}
