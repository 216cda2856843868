/**
 * The commands that the bridge accepts: a non-empty list of strings, numbers and booleans, as in
 * the REST protocol, and no command that would block or change the connection that all requests
 * share.
 */
export type Command = readonly [name: string, ...args: string[]];

export type CommandResult =
  { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly error: string };

/** Commands that block, that leave state on their connection, or that end the server. */
const REFUSED = new Set(
  [
    "AUTH HELLO SELECT RESET QUIT CLIENT MONITOR WATCH UNWATCH MULTI EXEC DISCARD",
    "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE",
    "BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF",
    "SHUTDOWN DEBUG REPLICAOF SLAVEOF SYNC PSYNC FAILOVER MODULE",
  ].flatMap((line) => line.split(" ")),
);

export function readCommand(raw: unknown): CommandResult {
  if (!Array.isArray(raw) || raw.length === 0) return refuse("a command is a non-empty array");
  const words: string[] = [];
  for (const word of raw as readonly unknown[]) {
    if (typeof word === "string") words.push(word);
    else if (typeof word === "number" || typeof word === "boolean") words.push(String(word));
    else return refuse("a command's arguments are strings, numbers or booleans");
  }
  const [first = "", ...args] = words;
  const name = first.toUpperCase();
  if (REFUSED.has(name) || blocks(name, args)) return refuse(`${name} is not available here`);
  return { ok: true, command: [name, ...args] };
}

/**
 * XREAD and XREADGROUP block only when asked to; after STREAMS come keys, which may have any name.
 */
function blocks(name: string, args: readonly string[]): boolean {
  if (name !== "XREAD" && name !== "XREADGROUP") return false;
  const options = args.map((each) => each.toUpperCase());
  const streams = options.indexOf("STREAMS");
  return options.slice(0, streams === -1 ? undefined : streams).includes("BLOCK");
}

function refuse(error: string): CommandResult {
  return { ok: false, error: `ERR ${error}` };
}
