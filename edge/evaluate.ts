/**
 * Runs scripts by their names, which are the SHA-1 of their texts. A text has kilobytes that every
 * hop reads and Redis hashes. A store that does not know a name says so before any part of the
 * script has run, so the text may then be sent. Any other failure is not repeated.
 */
import type { Redis } from "@upstash/redis/cloudflare";
import type { Script } from "../redis/script.ts";
import { digestHex } from "./digest.ts";

export async function evaluate<Args>(
  redis: Redis,
  script: Script<Args, unknown>,
  args: Args,
): Promise<unknown> {
  const [keys, rest] = [script.keys(args), script.args(args)];
  try {
    return await redis.evalsha(await hashScript(script.lua), keys, rest);
  } catch (error) {
    if (!isUnknownName((error as Error).message)) throw error;
    return await redis.eval(script.lua, keys, rest);
  }
}

/**
 * Runs all in one request, and those that were not known by name in a second one. Throws if any
 * failed.
 */
export async function evaluateAll<Args>(
  redis: Redis,
  script: Script<Args, unknown>,
  each: readonly Args[],
): Promise<unknown[]> {
  const name = await hashScript(script.lua);
  const byName = redis.pipeline();
  for (const args of each) byName.evalsha(name, script.keys(args), script.args(args));
  const replies = await byName.exec<unknown[]>({ keepErrors: true });
  const failures = replies.flatMap(({ error }) => (error === undefined ? [] : [error]));
  if (failures.length === 0) return replies.map(({ result }) => result);
  if (!failures.every(isUnknownName)) throw new Error("a script failed");
  const byText = redis.pipeline();
  for (const [index, args] of each.entries()) {
    if (replies[index]?.error === undefined) continue;
    byText.eval(script.lua, script.keys(args), script.args(args));
  }
  const late = (await byText.exec<unknown[]>()).values();
  return replies.map(({ error, result }) => (error === undefined ? result : late.next().value));
}

function isUnknownName(message: string): boolean {
  return message.startsWith("NOSCRIPT");
}

/** Texts, not promises: on Cloudflare a request cannot wait for work that another request began. */
const names = new Map<string, string>();

async function hashScript(lua: string): Promise<string> {
  const known = names.get(lua);
  if (known !== undefined) return known;
  const name = await digestHex("SHA-1", lua);
  names.set(lua, name);
  return name;
}
