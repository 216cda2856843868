/** Streams and consumer groups, with ids, pending entries and deliveries as in Redis 7.0. */
import {
  integer,
  OK,
  Pairs,
  RedisError,
  unsupported,
  type Call,
  type Command,
  type ConsumerGroup,
  type PendingEntry,
  type Reply,
  type Stream,
  type StreamEntry,
  type StreamId,
} from "./values.ts";

const ZERO: StreamId = { ms: 0, seq: 0 };
const LAST: StreamId = { ms: Number.POSITIVE_INFINITY, seq: Number.POSITIVE_INFINITY };

export const idText = ({ ms, seq }: StreamId): string => `${ms}-${seq}`;
const compare = (a: StreamId, b: StreamId): number => a.ms - b.ms || a.seq - b.seq;

function parseId(text: string | undefined, missingSeq = 0): StreamId {
  const found = /^(\d+)(?:-(\d+))?$/.exec(text ?? "");
  if (!found) throw new RedisError("ERR Invalid stream ID specified as stream command argument");
  return { ms: Number(found[1]), seq: found[2] === undefined ? missingSeq : Number(found[2]) };
}

const streamAt = ({ store, nowMs }: Call, key: string): Stream | undefined =>
  store.get(key, "stream", nowMs);

function createStream(call: Call, key: string): Stream {
  const stream: Stream = { kind: "stream", entries: [], lastId: ZERO, groups: new Map() };
  call.store.put(key, stream);
  return stream;
}

const entryReply = ({ id, flat }: StreamEntry): Reply => [idText(id), flat];
const entryOf = (stream: Stream, id: StreamId): StreamEntry | undefined =>
  stream.entries.find((entry) => compare(entry.id, id) === 0);

/** In the order of ids, of one consumer or of all. */
function listPending(group: ConsumerGroup, consumer?: string): PendingEntry[] {
  return [...group.pending.values()]
    .filter((each) => consumer === undefined || each.consumer === consumer)
    .sort((a, b) => compare(a.id, b.id));
}

function drop(stream: Stream, goes: (entry: StreamEntry) => boolean): number {
  const before = stream.entries.length;
  stream.entries = stream.entries.filter((entry) => !goes(entry));
  return before - stream.entries.length;
}

const xadd: Command = (call, [key = "", ...words]) => {
  // `~` may keep what is below, and Redis does so in streams as short as these; all of it gone is another matter.
  const isTrimming = words[0] === "MINID" && words[1] === "~";
  if (
    isTrimming &&
    (streamAt(call, key)?.entries ?? []).some(({ id }) => compare(id, parseId(words[2])) < 0)
  ) {
    unsupported("XADD that trims");
  }
  const [id = "", ...flat] = isTrimming ? words.slice(3) : words;
  if (!/^(\*|\d)/.test(id)) unsupported(`XADD … ${id}`);
  if (flat.length === 0 || flat.length % 2 === 1) {
    throw new RedisError("ERR wrong number of arguments for 'xadd' command");
  }
  if (id === "0-0") throw new RedisError("ERR The ID specified in XADD must be greater than 0-0");
  const known = streamAt(call, key);
  const last = known?.lastId ?? ZERO;
  let next: StreamId;
  if (id === "*") {
    const ms = Math.max(call.nowMs, last.ms);
    next = { ms, seq: ms === last.ms ? last.seq + 1 : 0 };
  } else {
    next = parseId(id);
    if (compare(next, last) <= 0) {
      throw new RedisError(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
      );
    }
  }
  const stream = known ?? createStream(call, key);
  stream.entries.push({ id: next, flat });
  stream.lastId = next;
  call.changed = true;
  return idText(next);
};

function rangeBound(text: string | undefined, missingSeq: number): StreamId {
  if (text === "-") return ZERO;
  if (text === "+") return LAST;
  return parseId(text, missingSeq);
}

const xrange: Command = (call, [key = "", from, to, ...options]) => {
  const start = rangeBound(from, 0);
  const end = rangeBound(to, Number.POSITIVE_INFINITY);
  const found = (streamAt(call, key)?.entries ?? []).filter(
    ({ id }) => compare(id, start) >= 0 && compare(id, end) <= 0,
  );
  if (options.length === 0) return found.map(entryReply);
  if (options[0]?.toUpperCase() !== "COUNT") unsupported("options of XRANGE");
  return found.slice(0, integer(options[1])).map(entryReply);
};

const xgroup: Command = (call, [what = "", key = "", name = "", id, ...options]) => {
  if (what.toUpperCase() !== "CREATE") unsupported(`XGROUP ${what}`);
  const mkstream = options.some((option) => option.toUpperCase() === "MKSTREAM");
  const known = streamAt(call, key);
  if (!known && !mkstream) {
    throw new RedisError(
      "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
    );
  }
  const stream = known ?? createStream(call, key);
  if (stream.groups.has(name)) throw new RedisError("BUSYGROUP Consumer Group name already exists");
  const lastId = id === "$" ? stream.lastId : parseId(id);
  stream.groups.set(name, { lastId, pending: new Map(), consumers: new Set() });
  call.changed = true;
  return OK;
};

interface ReadGroup {
  readonly group: string;
  readonly consumer: string;
  readonly count: number;
  readonly blockMs: number | undefined;
  readonly key: string;
  readonly after: string;
}

/** Of one stream; the server handles `BLOCK`. */
export function parseReadGroup(args: readonly string[]): ReadGroup {
  const [word = "", group = "", consumer = "", ...rest] = args;
  if (word.toUpperCase() !== "GROUP") unsupported("XREADGROUP without GROUP");
  let count = Number.POSITIVE_INFINITY;
  let blockMs: number | undefined;
  for (let index = 0; index < rest.length; index += 2) {
    const option = (rest[index] ?? "").toUpperCase();
    if (option === "COUNT") count = integer(rest[index + 1]);
    else if (option === "BLOCK") blockMs = integer(rest[index + 1]);
    else if (option === "STREAMS" && rest.length === index + 3) {
      const [key = "", after = ""] = rest.slice(index + 1);
      return { group, consumer, count, blockMs, key, after };
    } else unsupported(`XREADGROUP … ${option}`);
  }
  throw new RedisError("ERR syntax error");
}

const xreadgroup: Command = (call, args) => {
  const { group: name, consumer, count, key, after } = parseReadGroup(args);
  const stream = streamAt(call, key);
  const group = stream?.groups.get(name);
  if (!stream || !group) {
    throw new RedisError(
      `NOGROUP No such key '${key}' or consumer group '${name}' in XREADGROUP with GROUP option`,
    );
  }
  if (!group.consumers.has(consumer)) call.changed = true;
  group.consumers.add(consumer);
  if (after !== ">") {
    const from = parseId(after);
    const mine = listPending(group, consumer).filter(({ id }) => compare(id, from) > 0);
    const entries = mine.slice(0, count).map((each): Reply => {
      const entry = entryOf(stream, each.id);
      if (!entry) return [idText(each.id), null];
      each.deliveredAtMs = call.nowMs;
      each.deliveries += 1;
      call.changed = true;
      return entryReply(entry);
    });
    return new Pairs([key, entries]);
  }
  if (compare(stream.lastId, group.lastId) <= 0) return null;
  const fresh = stream.entries.filter(({ id }) => compare(id, group.lastId) > 0).slice(0, count);
  const last = fresh.at(-1);
  if (!last) return null;
  group.lastId = last.id;
  call.changed = true;
  for (const { id } of fresh) {
    const pending = { id, consumer, deliveredAtMs: call.nowMs, deliveries: 1 };
    group.pending.set(idText(id), pending);
  }
  return new Pairs([key, fresh.map(entryReply)]);
};

/** How many entries XAUTOCLAIM examines for each entry that it may claim. */
const LOOKS = 10;

const xautoclaim: Command = (
  call,
  [key = "", name = "", consumer = "", idle, from, ...options],
) => {
  const minIdleMs = integer(idle);
  let count = 100;
  if (options[0]?.toUpperCase() === "COUNT") count = integer(options[1]);
  else if (options.length > 0) unsupported("options of XAUTOCLAIM");
  const stream = streamAt(call, key);
  const group = stream?.groups.get(name);
  if (!stream || !group) {
    throw new RedisError(`NOGROUP No such key '${key}' or consumer group '${name}'`);
  }
  group.consumers.add(consumer);
  const start = parseId(from);
  const waiting = listPending(group).filter(({ id }) => compare(id, start) >= 0);
  const claimed: Reply[] = [];
  const deleted: string[] = [];
  let looks = count * LOOKS;
  while (waiting.length > 0 && looks > 0 && claimed.length + deleted.length < count) {
    const each = waiting.shift();
    if (!each) break;
    looks -= 1;
    const entry = entryOf(stream, each.id);
    if (!entry) {
      group.pending.delete(idText(each.id));
      deleted.push(idText(each.id));
      call.changed = true;
      continue;
    }
    if (call.nowMs - each.deliveredAtMs < minIdleMs) continue;
    each.consumer = consumer;
    each.deliveredAtMs = call.nowMs;
    each.deliveries += 1;
    call.changed = true;
    claimed.push(entryReply(entry));
  }
  const next = waiting[0];
  return [next ? idText(next.id) : "0-0", claimed, deleted];
};

export const STREAMS: Readonly<Record<string, Command>> = {
  XADD: xadd,
  XLEN: (call, [key = ""]) => streamAt(call, key)?.entries.length ?? 0,
  XRANGE: xrange,
  XDEL: (call, [key = "", ...ids]) => {
    const stream = streamAt(call, key);
    if (!stream) return 0;
    const goes = new Set(ids.map((id) => idText(parseId(id))));
    const gone = drop(stream, ({ id }) => goes.has(idText(id)));
    if (gone > 0) call.changed = true;
    return gone;
  },
  XTRIM: (call, [key = "", strategy = "", ...rest]) => {
    const kind = strategy.toUpperCase();
    if (kind !== "MINID" && kind !== "MAXLEN") unsupported(`XTRIM … ${strategy}`);
    if (rest.length > 2 || rest[0] === "~") unsupported("options of XTRIM");
    const stream = streamAt(call, key);
    if (!stream) return 0;
    const first =
      kind === "MINID" ? parseId(rest.at(-1)) : stream.entries.at(-integer(rest.at(-1)))?.id;
    const gone = first ? drop(stream, ({ id }) => compare(id, first) < 0) : 0;
    if (gone > 0) call.changed = true;
    return gone;
  },
  XGROUP: xgroup,
  XREADGROUP: xreadgroup,
  XACK: (call, [key = "", name = "", ...ids]) => {
    const group = streamAt(call, key)?.groups.get(name);
    const gone = ids.filter((id) => group?.pending.delete(idText(parseId(id))));
    if (gone.length > 0) call.changed = true;
    return gone.length;
  },
  XAUTOCLAIM: xautoclaim,
  XPENDING: (call, [key = "", name = "", ...options]) => {
    const group = streamAt(call, key)?.groups.get(name);
    if (!group) throw new RedisError(`NOGROUP No such key '${key}' or consumer group '${name}'`);
    const all = listPending(group);
    if (options.length > 0) {
      const start = rangeBound(options[0], 0);
      const end = rangeBound(options[1], Number.POSITIVE_INFINITY);
      if (options.length > 3) unsupported("options of XPENDING");
      return all
        .filter(({ id }) => compare(id, start) >= 0 && compare(id, end) <= 0)
        .slice(0, integer(options[2]))
        .map(({ id, consumer, deliveredAtMs, deliveries }) => [
          idText(id),
          consumer,
          call.nowMs - deliveredAtMs,
          deliveries,
        ]);
    }
    const [first] = all;
    const last = all.at(-1);
    if (!first || !last) return [0, null, null, null];
    const consumers = [...new Set(all.map(({ consumer }) => consumer))].sort();
    const counts = consumers.map((consumer) => [
      consumer,
      String(listPending(group, consumer).length),
    ]);
    return [all.length, idText(first.id), idText(last.id), counts];
  },
  XINFO: (call, [what = "", key = ""]) => {
    if (what.toUpperCase() !== "GROUPS") unsupported(`XINFO ${what}`);
    const stream = streamAt(call, key);
    if (!stream) throw new RedisError("ERR no such key");
    const names = [...stream.groups.keys()].sort();
    return names.map((name): Reply => {
      const group = stream.groups.get(name);
      // No code here asks for a group's lag (`entries-read`, `lag`).
      return new Pairs([
        "name",
        name,
        "consumers",
        group?.consumers.size ?? 0,
        "pending",
        group?.pending.size ?? 0,
        "last-delivered-id",
        idText(group?.lastId ?? ZERO),
      ]);
    });
  },
};
