import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  asId,
  signalIdIn,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../domain/ids.ts";
import type { Grant } from "../domain/copier/grant.ts";
import type { CloseSignal, OpenSignal, PlacedCopy } from "../domain/copier/signal.ts";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import {
  accept,
  ANSWER_TTL_MS,
  HOUSE,
  keptMs,
  MAX_SIGNALS_LOGGED,
  MAX_UNDISPATCHED,
  type AcceptArgs,
  type AcceptReply,
} from "./accept.ts";
import { parseSignal } from "./job.ts";
import { HomeKeys } from "./keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "./progress.ts";

const CHANNEL = asId<ChannelId>("demo");
const PROVIDER = asId<PersonId>("provider");
const SENDER = asId<PersonId>("sender");
const HOME = new HomeKeys(0);
const DEADLINE_MS = 1_500;

const OPEN: OpenSignal = {
  channel: CHANNEL,
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
  durationSeconds: 60,
};
const CLOSE: CloseSignal = { action: "close", channel: CHANNEL };

let redis: ScriptRedis;
let count = 0;

beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await setChannel({});
  await grant({});
  await route({ "local/desk/0/0": "1,10", "local/desk/0/1": "1,5", "local/fake/3/0": "1,7" });
});

async function setChannel(changes: { readonly symbols?: readonly string[] }): Promise<void> {
  const settings = { provider: PROVIDER, deadlineMs: DEADLINE_MS, symbols: ["EUR/USD", "GBP/USD"] };
  const json = JSON.stringify({ ...settings, ...changes });
  await redis.send("HSET", HOME.channel(CHANNEL), "settings", json);
}

async function grant(limits: Grant): Promise<void> {
  await redis.send("HSET", HOME.grants(CHANNEL), SENDER, JSON.stringify(limits));
}

async function route(routes: Readonly<Record<string, string>>): Promise<void> {
  await redis.send("HSET", HOME.routes(CHANNEL), ...Object.entries(routes).flat());
}

async function halt(scope: string, state: "halt" | "drain"): Promise<void> {
  await redis.send("HSET", HOME.halts, scope, state);
}

/** Fills a stream with more entries than a client should send one by one. */
async function fill(stream: string, entries: number): Promise<void> {
  const lua = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'f', i) end";
  await redis.send("EVAL", lua, "1", stream, String(entries));
}

async function fillUndispatched(ids: number): Promise<void> {
  const lua = "for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], i, 'id' .. i) end";
  await redis.send("EVAL", lua, "1", HOME.undispatched, String(ids));
}

/** A new signal with a new idempotency key, unless given. */
async function send(changes: Partial<AcceptArgs> = {}): Promise<AcceptReply> {
  count += 1;
  return await redis.run(accept, {
    id: signalIdIn(0, count.toString(16).padStart(32, "0")),
    home: HOME,
    signal: OPEN,
    sender: SENDER,
    idempotencyKey: `key-${count}`,
    bodySha256: "0".repeat(64),
    ...changes,
  });
}

const open = (changes: Partial<OpenSignal> = {}, args: Partial<AcceptArgs> = {}) =>
  send({ signal: { ...OPEN, ...changes }, ...args });

const close = (changes: Partial<CloseSignal> = {}, args: Partial<AcceptArgs> = {}) =>
  send({ signal: { ...CLOSE, ...changes }, ...args });

const closeByHouse = (changes: Partial<CloseSignal> = {}) =>
  close(changes, { sender: HOUSE, isHouse: true });

function accepted(reply: AcceptReply) {
  if (reply.kind !== "accepted") throw new Error(JSON.stringify(reply));
  return reply;
}

const codeOf = (reply: AcceptReply): string => (reply.kind === "refused" ? reply.code : reply.kind);

const openId = async (changes: Partial<OpenSignal> = {}): Promise<SignalId> =>
  accepted(await open(changes)).acceptance.id;

/** The ids that a close closes. */
function closed(reply: AcceptReply): readonly SignalId[] {
  const { signal } = accepted(reply);
  if (signal.action !== "close") throw new Error("not a close");
  return signal.closes;
}

/** The code of a refusal that must not have changed anything. */
async function refused(reply: () => Promise<AcceptReply>): Promise<string> {
  const before = await redis.everything();
  const code = codeOf(await reply());
  expect(await redis.everything()).toEqual(before);
  return code;
}

async function millisecondsLeft(key: string): Promise<number> {
  return Number(await redis.send("PTTL", key));
}

function expectAbout(milliseconds: number, wanted: number): void {
  expect(milliseconds).toBeLessThanOrEqual(wanted);
  expect(milliseconds).toBeGreaterThan(wanted - 5_000);
}

describe("an accepted signal", () => {
  test("has its place in the channel's log, by Redis' clock, without gaps", async () => {
    const beforeMs = await redis.nowMs();
    const replies = [accepted(await open()), accepted(await open()), accepted(await close())];
    const afterMs = await redis.nowMs();
    expect(replies.map(({ acceptance }) => acceptance.sequence)).toEqual([1, 2, 3]);
    for (const { acceptance, signal } of replies) {
      expect(acceptance.acceptedAtMs).toBeGreaterThanOrEqual(beforeMs);
      expect(acceptance.acceptedAtMs).toBeLessThanOrEqual(afterMs);
      expect(signal).toMatchObject({
        ...findAcceptance(signal),
        sender: SENDER,
        provider: PROVIDER,
      });
    }
    const [first] = replies;
    expect(first?.signal).toMatchObject({
      ...OPEN,
      deadlineMs: (first?.acceptance.acceptedAtMs ?? 0) + DEADLINE_MS,
    });
    function findAcceptance({ id }: { readonly id: SignalId }) {
      const of = replies.find(({ acceptance }) => acceptance.id === id)?.acceptance;
      return { sequence: of?.sequence, acceptedAtMs: of?.acceptedAtMs };
    }
  });

  test("is logged once, with the hash of its body, for the recorder and for the dispatcher", async () => {
    const { acceptance, signal } = accepted(await open({}, { bodySha256: "ab".repeat(32) }));
    const [entry, ...more] = await redis.entries(HOME.signals);
    expect(more).toEqual([]);
    expect(parseSignal(entry?.get("signal"))).toEqual(signal);
    expect(entry?.get("sha256")).toBe("ab".repeat(32));
    expect(entry?.get("followers")).toBe("22");
    expect(await redis.send("ZRANGE", HOME.undispatched, "0", "-1", "WITHSCORES")).toEqual([
      [acceptance.id, acceptance.acceptedAtMs],
    ]);
  });

  test("takes the routes as they are: later changes are not in its snapshot", async () => {
    const { acceptance, routes } = accepted(await open());
    await route({ "local/desk/0/0": "9,11", "local/desk/0/2": "9,1" });
    const stored = parseStoredSignal(
      await redis.send("HMGET", HOME.signal(acceptance.id), ...STORED_SIGNAL_FIELDS),
    );
    expect(
      stored?.routes.toSorted((a, b) => a.shard - b.shard || a.partition - b.partition),
    ).toEqual([
      { region: "local", broker: "desk", partition: 0, shard: 0, version: 1, count: 10 },
      { region: "local", broker: "fake", partition: 3, shard: 0, version: 1, count: 7 },
      { region: "local", broker: "desk", partition: 0, shard: 1, version: 1, count: 5 },
    ]);
    expect(routes).toEqual(stored?.routes as never);
    expect(stored?.followers).toBe(22);
    expect(acceptance.followers).toBe(22);
  });

  test("is accepted also if the channel has no followers, or none any more", async () => {
    await redis.send("DEL", HOME.routes(CHANNEL));
    expect(accepted(await open())).toMatchObject({ routes: [], acceptance: { followers: 0 } });
    await route({ "local/desk/0/0": "4,0" });
    expect(accepted(await open())).toMatchObject({ routes: [], acceptance: { followers: 0 } });
  });

  test("can be read until nothing of it can be open, and its answer for a day", async () => {
    const { acceptance, signal } = accepted(await open({}, { idempotencyKey: "mine" }));
    if (signal.action === "close") throw new Error("not an open");
    expectAbout(await millisecondsLeft(HOME.signal(acceptance.id)), keptMs(signal));
    expectAbout(await millisecondsLeft(HOME.answer(CHANNEL, SENDER, "mine")), ANSWER_TTL_MS);
    const closing = accepted(await close());
    expectAbout(await millisecondsLeft(HOME.signal(closing.acceptance.id)), ANSWER_TTL_MS);
  });
});

describe("a repeated idempotency key", () => {
  const key = { idempotencyKey: "mine", bodySha256: "a".repeat(64) };

  test("is answered as the first time, and does nothing", async () => {
    const { acceptance } = accepted(await open({}, key));
    const before = await redis.everything();
    expect(await open({}, key)).toEqual({ kind: "repeated", acceptance });
    expect(await redis.everything()).toEqual(before);
  });

  test("is answered even if grants or halts have changed since: it was accepted", async () => {
    const { acceptance } = accepted(await open({}, key));
    await halt("platform", "halt");
    await redis.send("DEL", HOME.grants(CHANNEL));
    await redis.send("HDEL", HOME.channel(CHANNEL), "settings");
    expect(await open({}, key)).toEqual({ kind: "repeated", acceptance });
  });

  test("is a conflict with another body", async () => {
    await open({}, key);
    const other = { ...key, bodySha256: "b".repeat(64) };
    expect(await refused(() => open({}, other))).toBe("IDEMPOTENCY_CONFLICT");
  });

  test("is separate for each sender and each channel", async () => {
    const other = asId<PersonId>("other");
    await redis.send("HSET", HOME.grants(CHANNEL), other, "{}");
    const first = accepted(await open({}, key)).acceptance;
    const second = accepted(await open({}, { ...key, sender: other })).acceptance;
    expect(second.id).not.toBe(first.id);
    expect(HOME.answer(CHANNEL, SENDER, "k")).not.toBe(HOME.answer(asId("b"), SENDER, "k"));
  });

  test("of a refused signal is free: nothing was answered", async () => {
    await halt("platform", "halt");
    expect(codeOf(await open({}, key))).toBe("TRADING_HALTED");
    await redis.send("DEL", HOME.halts);
    expect(codeOf(await open({}, { ...key, bodySha256: "c".repeat(64) }))).toBe("accepted");
  });

  test("is valid for the given time, and then free again", async () => {
    await open({}, { ...key, answerTtlMs: 60_000 });
    expectAbout(await millisecondsLeft(HOME.answer(CHANNEL, SENDER, "mine")), 60_000);
    await redis.send("DEL", HOME.answer(CHANNEL, SENDER, "mine"));
    expect(accepted(await open({}, key)).acceptance.sequence).toBe(2);
  });
});

describe("a signal leaves no trace where", () => {
  test("the sender has no grant, or the channel is not known", async () => {
    const stranger = asId<PersonId>("stranger");
    expect(await refused(() => open({}, { sender: stranger }))).toBe("GRANT_MISSING");
    await redis.send("HDEL", HOME.channel(CHANNEL), "settings");
    expect(await refused(() => open())).toBe("GRANT_MISSING");
    expect(await refused(() => closeByHouse())).toBe("GRANT_MISSING");
  });

  test.each(["platform", `channel:${CHANNEL}`, `provider:${PROVIDER}`])(
    "%s is halted or drained",
    async (scope) => {
      await halt(scope, "halt");
      expect(await refused(() => open())).toBe("TRADING_HALTED");
      await halt(scope, "drain");
      expect(await refused(() => open())).toBe("TRADING_DRAINED");
      await redis.send("HDEL", HOME.halts, scope);
      expect(codeOf(await open())).toBe("accepted");
    },
  );

  test("a halt meets a drain: the halt is reported", async () => {
    await halt("platform", "drain");
    await halt(`provider:${PROVIDER}`, "halt");
    expect(await refused(() => open())).toBe("TRADING_HALTED");
  });

  test("but not where only another channel or provider is halted", async () => {
    for (const scope of ["channel:other", "provider:other", "broker:desk"])
      await halt(scope, "halt");
    expect(codeOf(await open())).toBe("accepted");
  });

  test("the channel does not trade the symbol", async () => {
    expect(await refused(() => open({ symbol: "BTC/USD" }))).toBe("SYMBOL_UNKNOWN");
  });

  test("the grant does not cover the symbol, the stake or the hour", async () => {
    await grant({ symbols: ["GBP/USD"] });
    expect(await refused(() => open())).toBe("GRANT_SYMBOL");
    await grant({ symbols: [] });
    expect(await refused(() => open())).toBe("GRANT_SYMBOL");
    await grant({ maxStakeCents: 499 });
    expect(await refused(() => open())).toBe("GRANT_STAKE");
    await grant({ maxStakeCents: 500, symbols: ["GBP/USD", "EUR/USD"] });
    expect(codeOf(await open())).toBe("accepted");
  });

  test("too many signals of the partition wait for their dispatch", async () => {
    await fillUndispatched(MAX_UNDISPATCHED);
    expect(await refused(() => open())).toBe("BACKLOG_FULL");
    await redis.send("ZREM", HOME.undispatched, "id1");
    expect(codeOf(await open())).toBe("accepted");
  });

  test("the log waits too long for its recorder, except for a close, which has more room", async () => {
    await fill(HOME.signals, MAX_SIGNALS_LOGGED);
    await fillUndispatched(MAX_UNDISPATCHED);
    expect(codeOf(await open())).toBe("BACKLOG_FULL");
    expect(codeOf(await close())).toBe("accepted");
    await redis.send("XTRIM", HOME.signals, "MAXLEN", "1");
    await fillUndispatched(2 * MAX_UNDISPATCHED);
    expect(await refused(() => close())).toBe("BACKLOG_FULL");
  });
});

describe("the hours of a grant", () => {
  /** The minute of the day in Redis, as long as it stays the same while `probe` runs. */
  async function atMinute(probe: (minute: number) => Promise<void>): Promise<void> {
    for (;;) {
      const minute = Math.floor((await redis.nowMs()) / 60_000) % 1_440;
      try {
        await probe(minute);
        return;
      } catch (error) {
        if (Math.floor((await redis.nowMs()) / 60_000) % 1_440 === minute) throw error;
      }
    }
  }
  const within = async (fromMinute: number, toMinute: number): Promise<string> => {
    const [from, to] = [fromMinute, toMinute].map((minute) => (minute + 1_440) % 1_440);
    await grant({ hours: { fromMinute: from ?? 0, toMinute: to ?? 0 } });
    return codeOf(await open());
  };

  test("begin with their first minute and end before their last, over midnight too", async () => {
    await atMinute(async (now) => {
      expect(await within(now, now + 1)).toBe("accepted");
      expect(await within(now + 1, now + 2)).toBe("GRANT_HOURS");
      expect(await within(now - 1, now)).toBe("GRANT_HOURS");
      // All of the day but this minute, and but the next: one of the two runs over midnight.
      expect(await within(now + 1, now)).toBe("GRANT_HOURS");
      expect(await within(now + 2, now + 1)).toBe("accepted");
      expect(await within(now - 600, now + 600)).toBe("accepted");
      expect(await within(now + 600, now - 600)).toBe("GRANT_HOURS");
    });
  });

  test("do not keep a close from closing", async () => {
    await atMinute(async (now) => {
      expect(await within(now + 1, now + 2)).toBe("GRANT_HOURS");
      expect(codeOf(await close())).toBe("accepted");
    });
  });
});

test("faults are reported in a fixed order, even if several apply", async () => {
  const key = { idempotencyKey: "mine", bodySha256: "a".repeat(64) };
  await open({}, { ...key, bodySha256: "b".repeat(64) });
  const minute = Math.floor((await redis.nowMs()) / 60_000) % 1_440;
  const hours = { fromMinute: (minute + 600) % 1_440, toMinute: (minute + 601) % 1_440 };
  const stranger = asId<PersonId>("stranger");
  await fillUndispatched(MAX_UNDISPATCHED);
  await halt("platform", "drain");
  await halt(`channel:${CHANNEL}`, "halt");
  await grant({ symbols: [], maxStakeCents: 1, hours });
  const bad = { symbol: "BTC/USD" };

  expect(codeOf(await open(bad, key))).toBe("IDEMPOTENCY_CONFLICT");
  expect(codeOf(await open(bad, { sender: stranger }))).toBe("GRANT_MISSING");
  expect(codeOf(await open(bad))).toBe("TRADING_HALTED");
  await redis.send("HDEL", HOME.halts, `channel:${CHANNEL}`);
  expect(codeOf(await open(bad))).toBe("TRADING_DRAINED");
  await redis.send("DEL", HOME.halts);
  expect(codeOf(await open(bad))).toBe("SYMBOL_UNKNOWN");
  expect(codeOf(await open())).toBe("GRANT_SYMBOL");
  await grant({ maxStakeCents: 1, hours });
  expect(codeOf(await open())).toBe("GRANT_STAKE");
  await grant({ hours });
  expect(codeOf(await open())).toBe("GRANT_HOURS");
  await grant({});
  expect(codeOf(await open())).toBe("BACKLOG_FULL");
});

describe("a close", () => {
  test("of a symbol closes what is open in it, and nothing else", async () => {
    const [first, second] = [await openId(), await openId()];
    const other = await openId({ symbol: "GBP/USD" });
    const reply = await close({ symbol: "EUR/USD" });
    expect([...closed(reply)].toSorted()).toEqual([first, second].toSorted());
    expect(accepted(reply).acceptance.followers).toBe(44);
    expect(closed(await close({ symbol: "GBP/USD" }))).toEqual([other]);
  });

  test("of a signal closes that one alone, and is of its symbol", async () => {
    const [first] = [await openId(), await openId()];
    const reply = await close({ signal: first });
    expect(closed(reply)).toEqual([first]);
    expect(accepted(reply).signal).toMatchObject({ signal: first, symbol: "EUR/USD" });
  });

  test("names where its copies are, all of a partition as one", async () => {
    await openId();
    await openId();
    const { routes } = accepted(await close({ symbol: "EUR/USD" }));
    expect(
      routes.map(({ broker, partition, count: copies }) => [broker, partition, copies]),
    ).toEqual(
      expect.arrayContaining([
        ["desk", 0, 30],
        ["fake", 3, 14],
      ]),
    );
    expect(routes).toHaveLength(2);
  });

  test("is fixed at its acceptance: what opens later is not closed", async () => {
    const id = await openId();
    const { acceptance } = accepted(await close());
    await openId();
    const stored = parseStoredSignal(
      await redis.send("HMGET", HOME.signal(acceptance.id), ...STORED_SIGNAL_FIELDS),
    );
    expect(stored?.signal).toMatchObject({ action: "close", closes: [id] });
  });

  test("with nothing open is accepted, and closes an empty list", async () => {
    const reply = await close({ symbol: "EUR/USD" });
    expect(closed(reply)).toEqual([]);
    const [entry] = await redis.entries(HOME.signals);
    expect(parseSignal(entry?.get("signal"))).toMatchObject({ closes: [] });
    const { id } = accepted(reply).acceptance;
    const stored = await redis.send("HMGET", HOME.signal(id), ...STORED_SIGNAL_FIELDS);
    expect(parseStoredSignal(stored)).toMatchObject({ routes: [], followers: 0 });
  });

  test("closes nothing that was opened without followers", async () => {
    await redis.send("DEL", HOME.routes(CHANNEL));
    await openId();
    expect(closed(await close({ symbol: "EUR/USD" }))).toEqual([]);
  });

  test("closes nothing whose time is over by Redis' clock", async () => {
    const id = await openId();
    const nowMs = await redis.nowMs();
    const [member = ""] = (await redis.send("ZRANGE", HOME.open(CHANNEL), "0", "-1")) as string[];
    expect(member).toContain(id);
    await redis.send("ZADD", HOME.open(CHANNEL), String(nowMs), member);
    expect(closed(await close())).toEqual([]);
    expect(await redis.send("ZCARD", HOME.open(CHANNEL))).toBe(0);
  });

  test("passes a drain and a halt: it is held before sending", async () => {
    const id = await openId();
    await halt("platform", "drain");
    expect(closed(await close())).toEqual([id]);
    await halt("platform", "halt");
    expect(closed(await close())).toEqual([id]);
  });

  test("needs a grant that covers the symbol, without a limit of stake", async () => {
    const id = await openId();
    await grant({ maxStakeCents: 1 });
    expect(closed(await close({ symbol: "EUR/USD" }))).toEqual([id]);
    await grant({ symbols: ["GBP/USD"] });
    expect(await refused(() => close({ symbol: "EUR/USD" }))).toBe("GRANT_SYMBOL");
    expect(await refused(() => close({ signal: id }))).toBe("GRANT_SYMBOL");
    await redis.send("DEL", HOME.grants(CHANNEL));
    expect(await refused(() => close({ symbol: "EUR/USD" }))).toBe("GRANT_MISSING");
  });

  test("can be of a symbol that is not traded any more, as long as something is open in it", async () => {
    const id = await openId();
    await setChannel({ symbols: ["GBP/USD"] });
    expect(closed(await close({ symbol: "EUR/USD" }))).toEqual([id]);
    expect(closed(await close({ signal: id }))).toEqual([id]);
    await redis.send("DEL", HOME.open(CHANNEL));
    expect(await refused(() => close({ symbol: "EUR/USD" }))).toBe("SYMBOL_UNKNOWN");
  });

  test("of a signal that is not known, is another channel's or is a close itself is refused", async () => {
    expect(await refused(() => close({ signal: signalIdIn(0, "f".repeat(32)) }))).toBe(
      "SIGNAL_UNKNOWN",
    );
    const { acceptance } = accepted(await close());
    expect(await refused(() => close({ signal: acceptance.id }))).toBe("SIGNAL_UNKNOWN");

    const id = await openId();
    const elsewhere = asId<ChannelId>("elsewhere");
    const settings = { provider: PROVIDER, deadlineMs: 1, symbols: ["EUR/USD"] };
    await redis.send("HSET", HOME.channel(elsewhere), "settings", JSON.stringify(settings));
    await redis.send("HSET", HOME.grants(elsewhere), SENDER, "{}");
    expect(await refused(() => close({ channel: elsewhere, signal: id }))).toBe("SIGNAL_UNKNOWN");
  });

  test("of more than a thousand signals is refused", async () => {
    const lua = `for i = 1, ARGV[2] do
      redis.call('ZADD', KEYS[1], ARGV[1], 'EUR/USD s0_' .. string.format('%032x', i) .. ' local/desk/0=1;')
    end`;
    const untilMs = String((await redis.nowMs()) + 60_000);
    await redis.send("EVAL", lua, "1", HOME.open(CHANNEL), untilMs, "1001");
    expect(await refused(() => close({ symbol: "EUR/USD" }))).toBe("CLOSE_TOO_LARGE");
    await redis.send("EVAL", lua, "1", HOME.open(CHANNEL), "1", "1");
    expect(closed(await close({ symbol: "EUR/USD" }))).toHaveLength(1_000);
  });
});

describe("the house", () => {
  const copy = (index: number, place: Partial<PlacedCopy> = {}): PlacedCopy => ({
    subscription: asId<SubscriptionId>(`sub-${index}`),
    account: asId<AccountId>(`acct-${index}`),
    region: "local",
    broker: "desk",
    partition: 0,
    shard: 1,
    ...place,
  });

  test("closes all that is open, without a grant", async () => {
    await redis.send("DEL", HOME.grants(CHANNEL));
    await redis.send("HSET", HOME.grants(CHANNEL), SENDER, "{}");
    const ids = [await openId(), await openId({ symbol: "GBP/USD" })];
    await redis.send("DEL", HOME.grants(CHANNEL));
    expect([...closed(await closeByHouse())].toSorted()).toEqual(ids.toSorted());
  });

  test("is not a person with that name", async () => {
    expect(await refused(() => close({}, { sender: HOUSE }))).toBe("GRANT_MISSING");
  });

  test("closes only what is at one broker", async () => {
    const id = await openId();
    await redis.send("DEL", HOME.routes(CHANNEL));
    await route({ "local/desk/0/0": "2,3" });
    await openId();
    const reply = accepted(await closeByHouse({ broker: "fake" }));
    expect(closed(reply)).toEqual([id]);
    expect(reply.routes).toMatchObject([{ broker: "fake", partition: 3, count: 7 }]);
    expect(reply.signal).toMatchObject({ broker: "fake" });
  });

  test("closes only the copies that it names, of each signal that is open", async () => {
    await openId();
    await openId();
    const copies = [copy(1), copy(2, { partition: 3, broker: "fake", shard: 0 })];
    const reply = accepted(await closeByHouse({ copies }));
    expect(reply.signal).toMatchObject({ copies });
    expect(reply.acceptance.followers).toBe(4);
    expect(reply.routes.map(({ broker, count: copied }) => [broker, copied])).toEqual([
      ["desk", 2],
      ["fake", 2],
    ]);
  });
});

test("a flatten finds each channel that opened something, until none of it can be open", async () => {
  expect(await redis.send("SMEMBERS", HOME.opening)).toEqual([]);
  await close();
  expect(await redis.send("EXISTS", HOME.opening)).toBe(0);
  const { signal } = accepted(await open());
  if (signal.action === "close") throw new Error("not an open");
  expect(await redis.send("SMEMBERS", HOME.opening)).toEqual([CHANNEL]);
  const [[, untilMs] = []] = (await redis.send(
    "ZRANGE",
    HOME.open(CHANNEL),
    "0",
    "-1",
    "WITHSCORES",
  )) as [string, number][];
  expect(untilMs).toBe(signal.acceptedAtMs + keptMs(signal) - ANSWER_TTL_MS);
  // A signal of a day may follow one of a second.
  expect(await millisecondsLeft(HOME.open(CHANNEL))).toBeGreaterThan(86_400_000);
});

test("a home that is not filled refuses, whatever it seems to say, and repeats no answer", async () => {
  const sent = { idempotencyKey: "same" };
  accepted(await open({}, sent));
  await redis.send("HDEL", HOME.header, "homeSinceMs");
  expect(await refused(() => open({}, sent))).toBe("STORE_UNFILLED");
  expect(await refused(() => open())).toBe("STORE_UNFILLED");
  expect(await refused(() => closeByHouse())).toBe("STORE_UNFILLED");
});
