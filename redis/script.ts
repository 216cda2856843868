/**
 * A Lua script as a value: its text, how its arguments are laid out and how
 * its reply is read. Any client can run one; none is known here.
 */
export interface Script<Args, Reply> {
  readonly name: string;
  readonly lua: string;
  keys(args: Args): string[];
  args(args: Args): string[];
  /** Throws where the reply is not of the script's shape: that is a bug, not an outcome. */
  reply(raw: unknown, args: Args): Reply;
}

/** Reads a Lua table as an array. */
export function asList(raw: unknown): readonly unknown[] {
  if (!Array.isArray(raw)) throw new TypeError("script reply is not a list");
  return raw;
}

export function asText(raw: unknown): string {
  if (typeof raw === "string") return raw;
  if (typeof raw === "number") return String(raw);
  throw new TypeError("script reply is not a string");
}

export function asInteger(raw: unknown): number {
  const value = typeof raw === "number" ? raw : Number(asText(raw));
  if (!Number.isSafeInteger(value)) throw new TypeError("script reply is not an integer");
  return value;
}

/** Epoch milliseconds of the Redis that runs the script. */
export const LUA_NOW = `
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`;
