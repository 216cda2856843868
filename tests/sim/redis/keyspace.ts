/** Commands on keys and on strings, hashes and lists. */
import {
  groupArguments,
  integer,
  OK,
  Pairs,
  RedisError,
  Status,
  unsupported,
  type Call,
  type Command,
  type Value,
} from "./values.ts";

function hashAt({ store, nowMs }: Call, key: string): Map<string, string> {
  const known = store.get(key, "hash", nowMs);
  if (known) return known.fields;
  const value = { kind: "hash", fields: new Map<string, string>() } satisfies Value;
  store.put(key, value);
  return value.fields;
}

const fieldsOf = ({ store, nowMs }: Call, key: string): ReadonlyMap<string, string> | undefined =>
  store.get(key, "hash", nowMs)?.fields;

const set: Command = (call, [key = "", text = "", ...options]) => {
  const { store, nowMs } = call;
  let expiresAtMs: number | undefined;
  let condition: string | undefined;
  for (let index = 0; index < options.length; index += 1) {
    const option = (options[index] ?? "").toUpperCase();
    if (option === "NX" || option === "XX") condition = option;
    else if (option === "PX" || option === "EX") {
      index += 1;
      expiresAtMs = nowMs + integer(options[index]) * (option === "EX" ? 1_000 : 1);
    } else unsupported(`SET … ${option}`);
  }
  if (condition !== undefined && store.has(key, nowMs) !== (condition === "XX")) return null;
  call.changed = true;
  store.put(key, { kind: "string", text }, expiresAtMs);
  return OK;
};

const incrementBy = (call: Call, key: string, by: number): number => {
  const known = call.store.get(key, "string", call.nowMs);
  const sum = integer(known?.text ?? "0") + by;
  call.changed = true;
  if (known) known.text = String(sum);
  else call.store.put(key, { kind: "string", text: String(sum) });
  return sum;
};

export const KEYSPACE: Readonly<Record<string, Command>> = {
  PING: () => "PONG",
  PUBLISH: () => 0,
  INFO: ({ store: { run }, nowMs }, [section = ""]) => {
    if (section === "replication") return `master_replid2:${"0".repeat(40)}\r\n`;
    if (section !== "server") unsupported(`INFO ${section}`);
    run.startedAtMs ??= nowMs;
    const uptime = Math.floor((nowMs - run.startedAtMs) / 1_000);
    return `run_id:${run.id}\r\nuptime_in_seconds:${uptime}\r\n`;
  },
  TIME: ({ nowMs }) => [String(Math.floor(nowMs / 1_000)), String((nowMs % 1_000) * 1_000)],
  FLUSHALL: (call) => {
    call.changed = true;
    call.store.clear();
    return OK;
  },
  KEYS: ({ store, nowMs }, [pattern]) =>
    pattern === "*" ? store.keys(nowMs) : unsupported("patterns of KEYS"),
  TYPE: ({ store, nowMs }, [key = ""]) => new Status(store.kindOf(key, nowMs) ?? "none"),
  EXISTS: ({ store, nowMs }, keys) => keys.filter((key) => store.has(key, nowMs)).length,
  DEL: (call, keys) => {
    const gone = keys.filter((key) => call.store.has(key, call.nowMs) && call.store.delete(key));
    if (gone.length > 0) call.changed = true;
    return gone.length;
  },
  PEXPIRE: (call, [key = "", ms, ...options]) => {
    if (options.length > 0) unsupported("options of PEXPIRE");
    const done = call.store.expire(key, call.nowMs + integer(ms), call.nowMs);
    if (done) call.changed = true;
    return done ? 1 : 0;
  },
  PTTL: ({ store, nowMs }, [key = ""]) => {
    if (!store.has(key, nowMs)) return -2;
    const atMs = store.expiryOf(key, nowMs);
    return atMs === undefined ? -1 : atMs - nowMs;
  },

  GET: ({ store, nowMs }, [key = ""]) => store.get(key, "string", nowMs)?.text ?? null,
  SET: set,
  INCR: (call, [key = ""]) => incrementBy(call, key, 1),
  INCRBY: (call, [key = "", by]) => incrementBy(call, key, integer(by)),

  HGET: (call, [key = "", field = ""]) => fieldsOf(call, key)?.get(field) ?? null,
  HMGET: (call, [key = "", ...fields]) => {
    const known = fieldsOf(call, key);
    return fields.map((field) => known?.get(field) ?? null);
  },
  HGETALL: (call, [key = ""]) => new Pairs([...(fieldsOf(call, key) ?? [])].flat()),
  HKEYS: (call, [key = ""]) => [...(fieldsOf(call, key)?.keys() ?? [])],
  HVALS: (call, [key = ""]) => [...(fieldsOf(call, key)?.values() ?? [])],
  HLEN: (call, [key = ""]) => fieldsOf(call, key)?.size ?? 0,
  HEXISTS: (call, [key = "", field = ""]) => (fieldsOf(call, key)?.has(field) === true ? 1 : 0),
  HSET: (call, [key = "", ...rest]) => {
    const pairs = groupArguments("hset", rest, 2);
    const fields = hashAt(call, key);
    const before = fields.size;
    for (const [field = "", text = ""] of pairs) fields.set(field, text);
    call.changed = true;
    return fields.size - before;
  },
  HSETNX: (call, [key = "", field = "", text = ""]) => {
    if (fieldsOf(call, key)?.has(field) === true) return 0;
    hashAt(call, key).set(field, text);
    call.changed = true;
    return 1;
  },
  HINCRBY: (call, [key = "", field = "", by]) => {
    const amount = integer(by);
    const known = fieldsOf(call, key)?.get(field) ?? "0";
    if (!/^-?\d+$/.test(known)) throw new RedisError("ERR hash value is not an integer");
    const sum = Number(known) + amount;
    hashAt(call, key).set(field, String(sum));
    call.changed = true;
    return sum;
  },
  HDEL: (call, [key = "", ...fields]) => {
    const known = call.store.get(key, "hash", call.nowMs)?.fields;
    const gone = fields.filter((field) => known?.delete(field));
    if (known?.size === 0) call.store.delete(key);
    if (gone.length > 0) call.changed = true;
    return gone.length;
  },

  RPUSH: (call, [key = "", ...items]) => {
    const known = call.store.get(key, "list", call.nowMs);
    const value = known ?? { kind: "list", items: [] };
    if (!known) call.store.put(key, value);
    call.changed = true;
    return value.items.push(...items);
  },
  LLEN: ({ store, nowMs }, [key = ""]) => store.get(key, "list", nowMs)?.items.length ?? 0,
  LRANGE: ({ store, nowMs }, [key = "", from, to]) => {
    const items = store.get(key, "list", nowMs)?.items ?? [];
    const [start, end] = range(integer(from), integer(to), items.length);
    return items.slice(start, end);
  },
};

/** Redis' inclusive, possibly negative bounds as those of `slice`. */
export function range(from: number, to: number, length: number): [start: number, end: number] {
  const start = Math.max(from < 0 ? from + length : from, 0);
  return [start, (to < 0 ? to + length : to) + 1];
}
