/**
 * One Redis' data and its commands, scripts included. The same calls at the same times give the
 * same data.
 */
import { KEYSPACE } from "./keyspace.ts";
import { evaluate, hashScript } from "./lua.ts";
import { SETS } from "./sets.ts";
import { STREAMS } from "./streams.ts";
import { integer, Pairs, RedisError, Status, Store, unsupported, type Reply } from "./values.ts";

const COMMANDS = { ...KEYSPACE, ...SETS, ...STREAMS };

export interface Result {
  readonly reply: Reply;
  /** Whether it wrote anything. */
  readonly changed: boolean;
}

export class Engine {
  readonly store = new Store();
  /** Scripts by hash; gone at a restart, as in Redis. */
  readonly #scripts = new Map<string, string>();

  /** Throws a RedisError if Redis would reply one. The writes of a failed script stay. */
  execute(command: string, args: readonly string[], nowMs: number): Result {
    const call = { store: this.store, nowMs, changed: false };
    if (command === "EVAL" || command === "EVALSHA") {
      const [script = "", count, ...rest] = args;
      const keys = integer(count);
      const reply = evaluate(
        command === "EVAL" ? this.#keep(script) : this.#scriptOf(script),
        rest.slice(0, keys),
        rest.slice(keys),
        (name, inner) => this.#run(name, call, inner),
      );
      return { reply, changed: call.changed };
    }
    return { reply: this.#run(command, call, args), changed: call.changed };
  }

  /** As after a restart. */
  forgetScripts(): void {
    this.#scripts.clear();
  }

  textOf(sha: string): string | undefined {
    return this.#scripts.get(sha);
  }

  #run(name: string, call: Parameters<(typeof COMMANDS)[string]>[0], args: readonly string[]) {
    const command = COMMANDS[name];
    return command ? command(call, args) : unsupported(name);
  }

  #keep(lua: string): string {
    this.#scripts.set(hashScript(lua), lua);
    return lua;
  }

  #scriptOf(sha: string): string {
    const lua = this.#scripts.get(sha);
    if (lua === undefined) throw new RedisError("NOSCRIPT No matching script. Please use EVAL.");
    return lua;
  }
}

/** A reply as Bun's client gives it over RESP3. */
export function clientReply(reply: Reply): unknown {
  if (reply instanceof Status) return reply.text;
  if (reply instanceof Pairs) {
    const entries: [string, unknown][] = [];
    for (let index = 0; index + 1 < reply.flat.length; index += 2) {
      const name = reply.flat[index];
      if (typeof name !== "string") throw new TypeError("a map's key is not a text");
      entries.push([name, clientReply(reply.flat[index + 1] ?? null)]);
    }
    return Object.fromEntries(entries);
  }
  return Array.isArray(reply) ? reply.map((each: Reply) => clientReply(each)) : reply;
}
