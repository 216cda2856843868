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

type Values<Args, Value> = Readonly<Record<string, (args: Args) => Value>>;

/** A script as it is written: each key and argument has a name, which is a local variable in the Lua text. */
interface NamedScript<Args, Reply> extends Pick<Script<Args, Reply>, "name" | "lua" | "reply"> {
  readonly keys: Values<Args, string>;
  readonly args?: Values<Args, string | number>;
  /** Further keys, as many as a call needs: they begin at `KEYS[rest_keys]`. */
  restKeys?(args: Args): readonly string[];
  /** Further arguments, as many as a call needs: they begin at `ARGV[rest]`. */
  rest?(args: Args): readonly (string | number)[];
  /** The columns of which `rest` holds rows. Lua reads them with `for shard, version in rows() do`. */
  readonly columns?: readonly string[];
}

/**
 * Makes a script whose text begins with its names: `local home, jobs = KEYS[1], KEYS[2]`.
 * The order of keys and arguments is then known here alone.
 */
export function defineScript<Args, Reply>({
  name,
  lua,
  keys,
  args = {},
  restKeys,
  rest,
  columns,
  reply,
}: NamedScript<Args, Reply>): Script<Args, Reply> {
  const keyValues = Object.values(keys);
  const argValues = Object.values(args);
  const prologue = [
    ...declareLocals(Object.keys(keys), "KEYS"),
    ...declareLocals(Object.keys(args), "ARGV"),
    ...(restKeys ? [`local rest_keys = ${keyValues.length + 1}`] : []),
    ...(rest ? [`local rest = ${argValues.length + 1}`] : []),
    ...(columns ? [defineRows(columns.length)] : []),
  ];
  return {
    name,
    lua: `${prologue.join("\n")}\n${lua}`,
    keys(given) {
      const values = keyValues.map((value) => value(given));
      return restKeys ? [...values, ...restKeys(given)] : values;
    },
    args(given) {
      const values = argValues.map((value) => String(value(given)));
      return rest ? [...values, ...rest(given).map(String)] : values;
    },
    reply,
  };
}

function declareLocals(names: readonly string[], list: "KEYS" | "ARGV"): string[] {
  if (names.length === 0) return [];
  return [
    `local ${names.join(", ")} = ${names.map((_, index) => `${list}[${index + 1}]`).join(", ")}`,
  ];
}

function defineRows(columns: number): string {
  const row = Array.from({ length: columns }, (_, index) => `ARGV[at + ${index}]`);
  return `local function rows()
  local at = rest - ${columns}
  return function()
    at = at + ${columns}
    return ${row.join(", ")}
  end
end`;
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
