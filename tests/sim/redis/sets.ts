/** Commands on sets and sorted sets. */
import { range } from "./keyspace.ts";
import {
  groupArguments,
  integer,
  RedisError,
  unsupported,
  type Call,
  type Command,
  type Value,
} from "./values.ts";

const membersOf = ({ store, nowMs }: Call, key: string): Set<string> | undefined =>
  store.get(key, "set", nowMs)?.members;
const scoresOf = ({ store, nowMs }: Call, key: string): Map<string, number> | undefined =>
  store.get(key, "zset", nowMs)?.scores;

/** `5`, `(5`, `-inf`, `+inf`. */
function bound(text = ""): { readonly score: number; readonly open: boolean } {
  const open = text.startsWith("(");
  return { score: score(open ? text.slice(1) : text, "min or max is not a float"), open };
}

function score(text: string, fault = "value is not a valid float"): number {
  if (text === "-inf") return Number.NEGATIVE_INFINITY;
  if (text === "+inf" || text === "inf") return Number.POSITIVE_INFINITY;
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) throw new RedisError(`ERR ${fault}`);
  return value;
}

type Scored = readonly [member: string, score: number];

function inOrder(scores: ReadonlyMap<string, number> | undefined): Scored[] {
  return [...(scores ?? [])].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
}

function between(scores: ReadonlyMap<string, number> | undefined, min = "", max = ""): Scored[] {
  const low = bound(min);
  const high = bound(max);
  return inOrder(scores).filter(
    ([, value]) =>
      (low.open ? value > low.score : value >= low.score) &&
      (high.open ? value < high.score : value <= high.score),
  );
}

function rangeByScore(
  scores: ReadonlyMap<string, number> | undefined,
  [min, max, ...options]: readonly string[],
): string[] {
  let found = between(scores, min, max);
  let withScores = false;
  for (let index = 0; index < options.length; index += 1) {
    const option = (options[index] ?? "").toUpperCase();
    if (option === "LIMIT") {
      const offset = integer(options[index + 1]);
      const count = integer(options[index + 2]);
      found = found.slice(offset, count < 0 ? undefined : offset + count);
      index += 2;
    } else if (option === "REV") found = found.toReversed();
    else if (option === "WITHSCORES") withScores = true;
    else unsupported(`ZRANGE … ${option}`);
  }
  return found.flatMap(([member, value]) => (withScores ? [member, String(value)] : [member]));
}

function removeAll(call: Call, key: string, members: readonly string[]): number {
  const scores = scoresOf(call, key);
  const gone = members.filter((member) => scores?.delete(member));
  if (scores?.size === 0) call.store.delete(key);
  if (gone.length > 0) call.changed = true;
  return gone.length;
}

export const SETS: Readonly<Record<string, Command>> = {
  SADD: (call, [key = "", ...members]) => {
    const known = membersOf(call, key);
    const value = { kind: "set", members: known ?? new Set<string>() } satisfies Value;
    const before = value.members.size;
    for (const member of members) value.members.add(member);
    if (!known) call.store.put(key, value);
    call.changed = true;
    return value.members.size - before;
  },
  SREM: (call, [key = "", ...members]) => {
    const known = membersOf(call, key);
    const gone = members.filter((member) => known?.delete(member));
    if (known?.size === 0) call.store.delete(key);
    if (gone.length > 0) call.changed = true;
    return gone.length;
  },
  SISMEMBER: (call, [key = "", member = ""]) => (membersOf(call, key)?.has(member) ? 1 : 0),
  SMISMEMBER: (call, [key = "", ...members]) =>
    members.map((member) => (membersOf(call, key)?.has(member) ? 1 : 0)),
  SMEMBERS: (call, [key = ""]) => [...(membersOf(call, key) ?? [])],
  SCARD: (call, [key = ""]) => membersOf(call, key)?.size ?? 0,

  ZADD: (call, [key = "", ...rest]) => {
    const flag = (rest[0] ?? "").toUpperCase();
    const only = flag === "NX" || flag === "XX" ? flag : undefined;
    const known = scoresOf(call, key);
    const scores = known ?? new Map<string, number>();
    const before = scores.size;
    for (const [text = "", member = ""] of groupArguments("zadd", only ? rest.slice(1) : rest, 2)) {
      const value = score(text);
      if (only !== undefined && scores.has(member) !== (only === "XX")) continue;
      scores.set(member, value);
      call.changed = true;
    }
    if (!known && scores.size > 0) call.store.put(key, { kind: "zset", scores });
    return scores.size - before;
  },
  ZREM: (call, [key = "", ...members]) => removeAll(call, key, members),
  ZCARD: (call, [key = ""]) => scoresOf(call, key)?.size ?? 0,
  ZSCORE: (call, [key = "", member = ""]) => {
    const value = scoresOf(call, key)?.get(member);
    return value === undefined ? null : String(value);
  },
  ZCOUNT: (call, [key = "", min, max]) => between(scoresOf(call, key), min, max).length,
  ZRANGE: (call, [key = "", from, to, ...options]) => {
    const scores = scoresOf(call, key);
    const [by, ...rest] = options;
    if (by?.toUpperCase() === "BYSCORE") {
      // In descending order, the bounds are swapped as well.
      const bounds = rest[0]?.toUpperCase() === "REV" ? [to, from] : [from, to];
      return rangeByScore(scores, [...bounds.map((each) => each ?? ""), ...rest]);
    }
    if (by !== undefined) unsupported(`ZRANGE … ${by}`);
    const [start, end] = range(integer(from), integer(to), scores?.size ?? 0);
    return inOrder(scores)
      .slice(start, end)
      .map(([member]) => member);
  },
  ZRANGEBYSCORE: (call, [key = "", ...rest]) => rangeByScore(scoresOf(call, key), rest),
  ZREMRANGEBYSCORE: (call, [key = "", min, max]) => {
    const members = between(scoresOf(call, key), min, max).map(([member]) => member);
    return removeAll(call, key, members);
  },
};
