/** Random calls of every command and script, with so few keys and names that they often meet. */
import {
  clientOrderId,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import type {
  AcceptedOpen,
  CloseSignal,
  OpenSignal,
  Signal,
} from "../../../domain/copier/signal.ts";
import { accept } from "../../../redis/accept.ts";
import { link, overdue } from "../../../workers/copier/dispatch/undispatched.ts";
import { enqueue } from "../../../redis/enqueue.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import {
  moveClosing,
  noteSent,
  type ClosingState,
} from "../../../workers/copier/stored/closing.ts";
import { enqueueClose } from "../../../redis/enqueue-close.ts";
import type { ClosuresEvent } from "../../../workers/copier/stored/events.ts";
import { answer, countCopies, report } from "../../../workers/copier/stored/outcomes.ts";
import { abandon, intend } from "../../../workers/copier/stored/intents.ts";
import { NO_LAYERS, setLayer } from "../../../workers/copier/stored/layers.ts";
import { holdStop, setHalt } from "../../../workers/copier/stored/halt.ts";
import type { Job } from "../../../redis/job.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { projectChannel } from "../../../workers/copier/roster/channel.ts";
import { route } from "../../../redis/route.ts";
import { raiseShard } from "../../../workers/copier/roster/raise-shard.ts";
import { runSince } from "../../../workers/copier/stored/run.ts";
import { seat } from "../../../workers/copier/roster/seat.ts";
import type { Script } from "../../../redis/script.ts";
import { moveToDeadLetters, noteFailure, stillPending, trim } from "../../../redis/streams.ts";
import type { Random } from "../random.ts";

export type RedisCall = readonly [command: string, args: string[]];

const HOME = new HomeKeys(0);
const REGION = new RegionKeys(0);
const CHANNELS = ["one", "two"] as ChannelId[];
const PROVIDER = "provider" as PersonId;
const BROKER = "desk";

export function randomCall(random: Random): RedisCall {
  return random.chance(0.5) ? randomCommand(random) : randomScript(random);
}

function randomCommand(random: Random): RedisCall {
  const key = (kind: string) => random.pick([`${kind}:1`, `${kind}:1`, `${kind}:2`, "wrong:type"]);
  const word = () => random.pick(["a", "b", "c", "7", "-3", "2.5", "", 'é/\\"', "x".repeat(70)]);
  const number = () => String(random.between(-3, 9));
  const words = (most: number) => Array.from({ length: random.between(1, most) }, word);
  const [hash, set, zset, list, text] = ["hash", "set", "zset", "list", "text"].map(key) as [
    ...[string, string, string, string, string],
  ];
  const stream = key("stream");
  const group = random.pick(["g", "h"]);
  const consumer = random.pick(["one", "two"]);
  const id = () => `${random.below(6)}-${random.below(3)}`;
  return random.pick<() => RedisCall>([
    () => ["SET", [text, word(), ...random.pick([[], ["NX"], ["XX"], ["PX", "90000"]])]],
    () => ["SET", ["wrong:type", word()]],
    () => ["GET", [text]],
    () => ["INCR", [text]],
    () => ["DEL", [random.pick([hash, set, zset, list, text, stream])]],
    () => ["EXISTS", [hash, set, text, stream]],
    () => ["PEXPIRE", [random.pick([hash, text]), "90000"]],
    () => ["HSET", [hash, word(), word(), word(), word()]],
    () => ["HSET", [hash, word()]],
    () => ["HSETNX", [hash, word(), word()]],
    () => ["HGET", [hash, word()]],
    () => ["HMGET", [hash, ...words(3)]],
    () => ["HGETALL", [hash]],
    () => ["HLEN", [hash]],
    () => ["HEXISTS", [hash, word()]],
    () => ["HINCRBY", [hash, word(), number()]],
    () => ["HDEL", [hash, ...words(2)]],
    () => ["SADD", [set, ...words(3)]],
    () => ["SREM", [set, ...words(2)]],
    () => ["SISMEMBER", [set, word()]],
    () => ["SMISMEMBER", [set, ...words(3)]],
    () => ["SCARD", [set]],
    () => ["ZADD", [zset, ...random.pick([[], ["NX"], ["XX"]]), number(), word()]],
    () => ["ZREM", [zset, ...words(2)]],
    () => ["ZCARD", [zset]],
    () => ["ZCOUNT", [zset, number(), `(${number()}`]],
    () => ["ZRANGE", [zset, number(), number()]],
    () => ["ZRANGE", [zset, "-inf", number(), "BYSCORE", "LIMIT", "1", "2"]],
    () => ["ZRANGE", [zset, number(), "-inf", "BYSCORE", "REV", "LIMIT", "1", "2"]],
    () => ["ZRANGEBYSCORE", [zset, `(${number()}`, "+inf", "LIMIT", "0", "2"]],
    () => ["ZREMRANGEBYSCORE", [zset, "-inf", number()]],
    () => ["RPUSH", [list, ...words(3)]],
    () => ["LLEN", [list]],
    () => ["LRANGE", [list, number(), number()]],
    () => ["XADD", [stream, random.pick(["*", "*", id()]), "f", word()]],
    () => ["XADD", [stream, "MINID", "~", "0-1", "*", "f", word()]],
    () => ["XLEN", [stream]],
    () => ["XDEL", [stream, id()]],
    () => ["XRANGE", [stream, random.pick(["-", id()]), random.pick(["+", "3"])]],
    () => ["XTRIM", [stream, "MINID", id()]],
    () => ["XTRIM", [stream, "MAXLEN", String(random.between(1, 6))]],
    () => ["XGROUP", ["CREATE", stream, group, random.pick(["0", "$"]), "MKSTREAM"]],
    () => [
      "XREADGROUP",
      ["GROUP", group, consumer, "COUNT", "2", "STREAMS", stream, random.pick([">", "0"])],
    ],
    () => ["XACK", [stream, group, id()]],
    () => [
      "XAUTOCLAIM",
      [stream, group, consumer, random.pick(["0", "90000"]), "0-0", "COUNT", "2"],
    ],
  ])();
}

const CLOSING: ClosingState = { turn: 0, left: null, unknown: [] };
const stateText = (turn: number): string => JSON.stringify({ ...CLOSING, turn });
const COPY = {
  subscription: "sub-1" as SubscriptionId,
  account: "acct" as AccountId,
  region: "local",
  broker: BROKER,
  partition: 0,
};

function call<Args, Reply>(script: Script<Args, Reply>, args: Args): RedisCall {
  const keys = script.keys(args);
  return ["EVAL", [script.lua, String(keys.length), ...keys, ...script.args(args)]];
}

function randomScript(random: Random): RedisCall {
  const id = `s0_${"0".repeat(31)}${random.below(3)}` as SignalId;
  const channel = random.pick(CHANNELS);
  const signal: OpenSignal = {
    channel,
    symbol: random.pick(["EUR/USD", "GBP/USD", "XXX"]),
    contract: "CALL",
    stakeCents: random.pick([1, 500, 1_000_000_000_000]),
    durationSeconds: 60,
  };
  const accepted: AcceptedOpen = {
    ...signal,
    id,
    sender: PROVIDER,
    provider: PROVIDER,
    sequence: random.between(1, 3),
    acceptedAtMs: 1_000,
    deadlineMs: 2_000,
  };
  const shard = random.below(2);
  const closeJob: CloseJob = {
    close: { id, channel, provider: PROVIDER, acceptedAtMs: 1_000 },
    of: accepted,
    broker: BROKER,
    shard,
    version: 1,
    count: 2,
    dispatchedAtMs: 1_001,
    notBeforeMs: 0,
    tries: 0,
  };
  const job: Job = {
    signal: accepted,
    broker: BROKER,
    shard,
    version: random.below(4),
    count: 2,
    dispatchedAtMs: 1_001,
  };
  const entry = `${random.below(6)}-${random.below(2)}`;
  const counts = { placed: 1, rejected: 0, skipped: 1, unknown: random.below(2) };
  const times = {
    decidedAtMs: 1_002,
    sentAtMs: 1_003,
    answeredAtMs: random.pick([null, 1_003, 1_400]),
  };
  const ended: Copy[] = [];
  for (const [name, outcome] of [
    ["sub-1", { kind: "unknown", stakeCents: 100 }],
    ["sub-2", { kind: "skipped", reason: "TOO_LATE" }],
  ] as const) {
    if (random.chance(0.5)) continue;
    const subscription = name as SubscriptionId;
    ended.push({
      clientOrderId: clientOrderId(id, subscription),
      subscription,
      account: "acct" as AccountId,
      stakeCents: 100,
      follower: undefined,
      terms: undefined,
      isReserved: random.chance(0.5),
      reservation: undefined,
      state: "maybe-sent",
      reason: undefined,
      outcome,
    });
  }
  const outcomes = {
    partition: 0,
    job,
    entry,
    copies: ended,
    counts: countCopies(ended),
    ...times,
  };
  const event: ClosuresEvent = {
    kind: "closures",
    signal: id,
    of: id,
    broker: BROKER,
    shard,
    acceptedAtMs: 1_000,
    dispatchedAtMs: 1_001,
    ...times,
    copies: [],
  };
  const stream = random.pick([
    HOME.signals,
    REGION.jobs(BROKER),
    REGION.closes(BROKER),
    "stream:1",
    "wrong:type",
  ]);
  const group = random.pick(["workers", "g"]);
  const version = random.between(1, 4);
  const grant = random.pick([
    {},
    { symbols: ["EUR/USD"] },
    { maxStakeCents: 600 },
    { hours: { fromMinute: 0, toMinute: 1_440 } },
  ]);
  return random.pick<() => RedisCall>([
    () => {
      const sender = random.pick([PROVIDER, "stranger" as PersonId]);
      const idempotencyKey = random.pick(["k", "l", "m"]);
      const bodySha256 = random.pick(["aa", "bb"]);
      return call(accept, { id, home: HOME, signal, sender, idempotencyKey, bodySha256 });
    },
    () => {
      const what: Partial<CloseSignal> = random.pick([
        { symbol: "EUR/USD" },
        { symbol: "XXX" },
        { signal: `s0_${"0".repeat(32)}` as SignalId },
        {},
        { broker: BROKER },
        { broker: "other" },
        { copies: [{ ...COPY, shard }] },
      ]);
      const closing: Signal = { action: "close", channel, ...what };
      const isHouse = random.chance(0.5);
      const idempotencyKey = random.pick(["x", "y", "z"]);
      const sent = { signal: closing, sender: PROVIDER, isHouse, idempotencyKey };
      const closeId = `s0_${"1".repeat(31)}${random.below(3)}` as SignalId;
      return call(accept, { id: closeId, home: HOME, ...sent, bodySha256: "cc" });
    },
    () => {
      const only = [["sub-1", "acct"] as [SubscriptionId, AccountId]];
      const jobs = [
        { of: accepted, shard, version, count: 2, ...(random.chance(0.3) ? { only } : {}) },
      ];
      return call(enqueueClose, { close: closeJob.close, partition: 0, broker: BROKER, jobs });
    },
    () => {
      const before = random.pick(["", stateText(0), stateText(1)]);
      const after = { ...CLOSING, turn: random.below(2) };
      const aloneMs = random.pick([0, 90_000]);
      return call(noteSent, { partition: 0, job: closeJob, before, after, aloneMs });
    },
    () => {
      const before = random.pick(["", stateText(0), stateText(1)]);
      const after = { ...CLOSING, turn: random.below(2) };
      const ended = { event, counts };
      return call(moveClosing, {
        partition: 0,
        job: closeJob,
        before,
        after,
        entry,
        ...(random.chance(0.5) ? { ended } : {}),
        ...(random.chance(0.5) ? { againAtMs: 5_000 } : {}),
      });
    },
    () => call(runSince, { partition: 0 }),
    () => {
      const shards = [{ shard, version, count: 2 }];
      return call(enqueue, { signal: accepted, partition: 0, broker: BROKER, shards });
    },
    () =>
      call(overdue, {
        home: HOME,
        graceMs: random.pick([0, 90_000]),
        skip: random.below(2),
        limit: 2,
      }),
    () => {
      const head = random.pick([null, "h1", "h2"]);
      const newHead = random.pick(["h1", "h2"]);
      const links = [entry, "9-9"]
        .slice(random.below(2))
        .map((each) => ({ link: "{}", entry: each }));
      return call(link, { home: HOME, channel, head, newHead, links });
    },
    () => {
      const decided = { decidedAtMs: 1_002, copies: [] };
      const shardVersion = random.pick([0, version]);
      const haltsVersion = random.pick(["0", "5"]);
      const layersVersion = random.pick([NO_LAYERS, NO_LAYERS, "5"]);
      const stales = random.pick([0, 0, 2, 3]);
      const unstopped = random.pick([[], ["platform", "channel:two"] as const]);
      const older = random.pick([false, true]);
      const versions = { shardVersion, haltsVersion, layersVersion, stales, unstopped };
      return call(intend, { partition: 0, job, ...versions, decided, older });
    },
    () => {
      const scope = random.pick(["platform", `channel:${channel}`] as const);
      const args = { partition: 0, scope, version: random.between(1, 3) };
      const paused = random.pick([true, false]);
      const settings = { plan: {}, paused };
      return call(setLayer, random.chance(0.7) ? { ...args, settings } : args);
    },
    () => call(report, outcomes),
    () => {
      const unknown = random.pick([["sub-1"], ["sub-1", "sub-2"]]) as SubscriptionId[];
      // What is answered is not unknown any more.
      const copies = ended.map((each) =>
        each.outcome?.kind === "unknown" ? { ...each, outcome: undefined } : each,
      );
      return call(answer, { ...outcomes, copies, unknown });
    },
    () => {
      const subscriptions = Array.from({ length: random.between(1, 3) }, () => ({
        id: `sub-${random.below(5)}` as SubscriptionId,
        channel,
        follower: "follower" as PersonId,
        account: "acct" as AccountId,
        broker: BROKER,
        region: "local",
        expiresAtMs: 5_000,
        state: random.pick(["active", "paused", "left"] as const),
        plan: { sizing: { kind: "fixed" as const, stakeCents: 100 } },
        version: random.between(1, 6),
      }));
      return call(seat, { partition: 0, broker: BROKER, channel, subscriptions });
    },
    () => {
      const routes = [{ region: "local", broker: BROKER, partition: 0, shard, version, count: 2 }];
      return call(route, { home: HOME, channel, routes });
    },
    () => {
      const settings = { id: channel, name: "One", provider: PROVIDER, version };
      const all = { ...settings, symbols: ["EUR/USD", "GBP/USD"], deadlineMs: 1_000 };
      return call(projectChannel, { home: HOME, channel: all, grants: { [PROVIDER]: grant } });
    },
    () => call(trim, { stream, groups: [group] }),
    () => {
      const consumer = random.pick(["one", "two"]);
      return call(stillPending, { stream, group, consumer, entries: [entry, "1-0"] });
    },
    () => {
      const which = random.pick([entry, "1-0"]);
      const isAcked = random.chance(0.5);
      return call(moveToDeadLetters, { stream, group, entry: which, reason: "no job", isAcked });
    },
    () => call(noteFailure, { stream, group, entry: random.pick([entry, "1-0"]) }),
    () => {
      const skipped = { decidedAtMs: 1_003, copies: [] };
      const asked = { decidedAtMs: 1_004, copies: [] };
      return call(abandon, { partition: 0, job, skipped, asked });
    },
    // A row that cannot be read, for the next subscription that joins there.
    () => ["HSET", [REGION.rosterShard(channel, BROKER, 0), `sub-${random.below(5)}`, "[1,["]],
    () => call(raiseShard, { partition: 0, broker: BROKER, channel, shard, routed: version }),
    () => {
      const scope = random.pick(["platform", "channel:two"] as const);
      const action = random.pick(["halt", "drain", "lift", "lift"] as const);
      const author = random.pick([{}, { by: "alice", owner: "alice", why: "why not" }]);
      const key = random.pick([HOME.halts, REGION.halts]);
      return call(setHalt, { key, scope, action, ...author });
    },
    () => {
      const scope = random.pick(["platform", "channel:two"] as const);
      const state = random.pick(["halt", "drain"] as const);
      const author = { by: "alice", owner: "*", why: "" };
      const stop = { state, atMs: random.between(0, 2_000), liftedAtMs: 0, ...author };
      return call(holdStop, { key: random.pick([HOME.halts, REGION.halts]), scope, stop });
    },
    () => [
      "EVAL",
      [
        // How replies are converted to Lua values, and Lua values to replies.
        "local v = redis.pcall(ARGV[1], KEYS[1], ARGV[2]) if type(v) == 'table' and v.err then return {v.err} end return {v, type(v), 1.9, -1.9, true, false, 'after'}",
        "1",
        random.pick(["hash:1", "text:1", "zset:1", "wrong:type"]),
        random.pick(["HGET", "ZSCORE", "HEXISTS"]),
        "a",
      ],
    ],
    () => [
      "EVAL",
      [
        "return {cjson.encode(cjson.decode(ARGV[1])), string.format('%d %5.2f %s', ARGV[2], 1 / 3, 'x'), tostring(tonumber(ARGV[2]) / 7), ARGV[2] + 0}",
        "0",
        random.pick(['{"a":[1,2.5,{"b":"x/y"}]}', "[]", '{"n":1700000000123}', '["é\\n"]']),
        random.pick(["5", "1700000000123", "-12"]),
      ],
    ],
  ])();
}
