import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { RegionKeys } from "../../../redis/keys.ts";
import { SHARD_SIZE } from "../stored/roster.ts";
import { until } from "../../../tests/support/wait.ts";
import { LEAST_CAPABLE, type Broker, type Capabilities, type OrderBatch } from "../brokers/port.ts";
import {
  asId,
  clientOrderId,
  signalIdIn,
  type AccountId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import {
  isOverlooked,
  startFakeBroker,
  type FakeBroker,
  type Faults,
} from "../../../tests/support/fake-broker.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { placeBatch, type How } from "../../../tests/support/placing.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { setHalt } from "../stored/halt.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import type { StopAction } from "../../../domain/copier/stop.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { Allowance } from "./allowance.ts";
import { isRepeatable, lastWordAtMs } from "./place.ts";

setDefaultTimeout(20_000);

let redis: ScriptRedis;
let signals = 0;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

/** A whole shard. */
const CROWD = Array.from({ length: SHARD_SIZE }, (_, index) => `crowd-${index}`);
const DEADLINE = 1_000_000;
const subscription = asId<SubscriptionId>("sub");
const batch: OrderBatch = {
  symbol: "EUR/USD",
  contract: "CALL",
  shard: 0,
  durationSeconds: 60,
  validUntilMs: DEADLINE,
  orders: [
    {
      clientOrderId: clientOrderId(signalIdIn(0, "0".repeat(32)), subscription),
      subscription,
      account: asId<AccountId>("acct"),
      stakeCents: 100,
    },
  ],
};
const capable = (changes: Partial<Capabilities>): Capabilities => ({
  ...LEAST_CAPABLE,
  ...changes,
});

describe("sending a batch again (P2)", () => {
  test("is never done if the broker does not know ids, and always if it never forgets them", () => {
    expect(isRepeatable(capable({ validUntil: "enforced" }), batch, DEADLINE - 1_000)).toBe(false);
    expect(isRepeatable(capable({ deduplicates: "account" }), batch, 0)).toBe(true);
  });

  test("is done at a broker that forgets ids only if it refuses late orders", () => {
    const open = (validUntil: Capabilities["validUntil"], decidedAtMs: number, seconds: number) =>
      isRepeatable(
        capable({ deduplicates: "open-orders", validUntil }),
        { ...batch, durationSeconds: seconds },
        decidedAtMs,
      );
    expect(open("enforced", DEADLINE - 1_000, 60)).toBe(true);
    expect(open("enforced", DEADLINE - 1_000, 1)).toBe(false);
    expect(open("ignored", DEADLINE - 1_000, 60)).toBe(false);
    const minutes = capable({ deduplicates: "ten-minutes", validUntil: "enforced" });
    expect(isRepeatable(minutes, batch, DEADLINE - 1_000)).toBe(true);
    expect(isRepeatable(minutes, batch, DEADLINE - 600_000)).toBe(false);
  });
});

describe("an order that is not found", () => {
  test("is skipped only once nothing of ours can be in flight any more", () => {
    const sure = capable({ lookUp: "authoritative", inFlightMs: 5_000 });
    expect(lastWordAtMs(sure, batch)).toBe(DEADLINE + 5_000 + 1_000);
  });

  test("stays unknown if not finding an order proves nothing", () => {
    expect(lastWordAtMs(capable({}), batch)).toBe(Infinity);
  });
});

describe("the orders of a batch, at a broker over a network", () => {
  const KINDS = {
    knowsIds: { deduplicates: "account", lookUp: "authoritative", validUntil: "enforced" },
    knowsNone: { deduplicates: "none", lookUp: "authoritative", validUntil: "enforced" },
    hints: { deduplicates: "none", lookUp: "hint", validUntil: "enforced" },
  } as const;
  type Kind = keyof typeof KINDS;

  let brokers: Record<Kind, FakeBroker>;
  beforeAll(async () => {
    const [knowsIds, knowsNone, hints] = await Promise.all(
      [KINDS.knowsIds, KINDS.knowsNone, KINDS.hints].map((kind) => startFakeBroker(kind)),
    );
    if (!knowsIds || !knowsNone || !hints) throw new Error("a broker did not start");
    brokers = { knowsIds, knowsNone, hints };
    for (const each of Object.values(brokers)) await each.deposit(["acct"], 1_000_000);
  });
  afterAll(async () => {
    await Promise.all(Object.values(brokers).map((each) => each.stop()));
  });
  beforeEach(async () => {
    await Promise.all(Object.values(brokers).map((each) => each.misbehave({})));
  });

  interface HowFaulty extends How {
    readonly faults?: Partial<Faults>;
    /** How long there is to send. */
    readonly forMs?: number;
    /** Only the orders that the look-up overlooks, or only those that it finds. */
    readonly overlooked?: boolean;
    /** Replaces the broker of that kind. */
    readonly broker?: Broker;
  }

  /** Places one new order. Returns its outcome, and how many times it is on the broker's book. */
  async function send(
    kind: Kind,
    { faults = {}, forMs = 400, overlooked, broker: own, ...how }: HowFaulty = {},
  ) {
    let id = clientOrderId(signalIdOf((signals += 1)), subscription);
    while (overlooked !== undefined && isOverlooked(id) !== overlooked) {
      id = clientOrderId(signalIdOf((signals += 1)), subscription);
    }
    const broker = brokers[kind];
    await broker.misbehave(faults);
    const order = {
      clientOrderId: id,
      subscription,
      account: asId<AccountId>("acct"),
      stakeCents: 100,
    };
    const sent: OrderBatch = { ...batch, validUntilMs: Date.now() + forMs, orders: [order] };
    const placed = await placeBatch(own ?? broker.broker, redis.client, sent, how);
    const [outcome] = placed.outcomes;
    const word = outcome && ("reason" in outcome ? outcome.reason : outcome.kind);
    const booked = broker.book().filter((line) => line.clientOrderId === id).length;
    return { word, booked, sentAtMs: placed.sentAtMs };
  }

  test("end as the broker answered", async () => {
    expect(await send("knowsNone")).toMatchObject({ word: "placed", booked: 1 });
  });

  test("that an answer leaves out end as unknown (P5)", async () => {
    const { broker } = brokers.knowsIds;
    const open: Broker["open"] = async (some) => {
      const reply = await broker.open(some);
      return reply.kind === "answered" ? { ...reply, answers: [] } : reply;
    };
    expect(await send("knowsIds", { broker: { ...broker, open } })).toMatchObject({
      word: "unknown",
      booked: 1,
    });
  });

  test("are not sent after their deadline (P3)", async () => {
    expect(await send("knowsIds", { forMs: -1 })).toEqual({
      word: "TOO_LATE",
      booked: 0,
      sentAtMs: null,
    });
  });

  test("are sent again if a send had no effect, as long as the broker knows their ids", async () => {
    const half = { resetBefore: 0.5, resetAfter: 0.3 };
    for (let count = 0; count < 10; count += 1) {
      expect(await send("knowsIds", { faults: half, forMs: 2_000 })).toMatchObject({
        word: "placed",
        booked: 1,
      });
    }
  });

  test("are sent again after a broker was busy, because it took nothing", async () => {
    const busy = { busy: 0.5, retryAfterMs: 5 };
    for (let count = 0; count < 5; count += 1) {
      expect(await send("knowsNone", { faults: busy, forMs: 2_000 })).toMatchObject({
        word: "placed",
        booked: 1,
      });
    }
  });

  test("are sent once if the broker would open them twice, and are asked about (P2)", async () => {
    expect(await send("knowsNone", { faults: { resetAfter: 1 } })).toMatchObject({
      word: "placed",
      booked: 1,
    });
    expect(await send("knowsNone", { faults: { resetBefore: 1 } })).toMatchObject({
      word: "TOO_LATE",
      booked: 0,
    });
  });

  test("that may have been sent are only asked about at such a broker", async () => {
    expect(await send("knowsNone", { state: "maybe-sent" })).toMatchObject({
      word: "TOO_LATE",
      booked: 0,
      sentAtMs: null,
    });
    expect(await send("knowsIds", { state: "maybe-sent" })).toMatchObject({ word: "placed" });
  });

  test("that must not be sent now are only asked about, even if the broker never forgets ids", async () => {
    const asked = { state: "ask-only", reason: "LEFT" } as const;
    expect(await send("knowsIds", asked)).toEqual({ word: "LEFT", booked: 0, sentAtMs: null });
  });

  test("stay unknown if not finding them proves nothing, opened or not", async () => {
    const [opened, never] = await Promise.all([
      send("hints", { faults: { resetAfter: 1 }, overlooked: true }),
      send("knowsNone", { faults: { dead: true } }),
    ]);
    expect(opened).toMatchObject({ word: "unknown", booked: 1 });
    expect(never).toMatchObject({ word: "unknown", booked: 0 });
  });
});

describe("copies of several followers, at a broker that never forgets ids", () => {
  let broker: FakeBroker;
  beforeAll(async () => {
    broker = await startFakeBroker({
      deduplicates: "account",
      lookUp: "authoritative",
      validUntil: "enforced",
    });
    await broker.deposit(
      ["ann", "bob", "carl", ...CROWD].map((name) => memberOf(name).account),
      1_000_000,
    );
  });
  afterAll(async () => {
    await broker.stop();
  });
  beforeEach(async () => {
    await broker.misbehave({});
    await broker.crowd();
  });

  const set = (action: StopAction, scope: Scope) =>
    redis.run(setHalt, { key: new RegionKeys(0).halts, scope, action });

  /**
   * Places an order of a new signal for each of these. Returns their outcomes, and
   * the followers on the broker's book.
   */
  async function send(names: readonly string[], { forMs = 120, ...how }: How & Timed = {}) {
    const id = signalIdOf((signals += 1));
    const orders = names.map((name) => {
      const { subscription, account } = memberOf(name);
      const stakeCents = 100;
      return {
        clientOrderId: clientOrderId(id, subscription),
        subscription,
        account,
        stakeCents,
      };
    });
    const sent: OrderBatch = { ...batch, validUntilMs: Date.now() + forMs, orders };
    const { outcomes, ...times } = await placeBatch(broker.broker, redis.client, sent, how);
    const words = outcomes.map((outcome) =>
      outcome.kind === "skipped" ? outcome.reason : outcome.kind,
    );
    return { words, booked: bookedOf(id), ...times };
  }
  interface Timed {
    /** How long there is to send. */
    readonly forMs?: number;
  }
  const bookedOf = (id: string) =>
    broker
      .book()
      .filter((line) => line.clientOrderId.startsWith(`${id}.`))
      .map((line) => line.clientOrderId.slice(id.length + 1))
      .toSorted();

  describe("before an order may be sent again (P4)", () => {
    const again = { state: "maybe-sent" } as const;

    test.each([
      ["halt", "platform", "HALTED"],
      ["halt", "broker:desk", "HALTED"],
      ["drain", "channel:demo", "DRAINED"],
      ["drain", "provider:provider", "DRAINED"],
    ] as const)(
      "a %s of %s stops it, and is the skip reason if it was never opened",
      async (action, scope, reason) => {
        await set(action, scope);
        const { words, booked, sentAtMs } = await send(["ann"], again);
        expect(words).toEqual([reason]);
        expect(booked).toEqual([]);
        expect(sentAtMs).toBeNull();
      },
    );

    test("a halt of one follower stops their order, and no other follower's", async () => {
      await set("halt", "follower:ann-person");
      const { words, booked } = await send(["ann", "bob"], again);
      expect(words).toEqual(["HALTED", "placed"]);
      expect(booked).toEqual(["bob"]);
    });

    test("after a halt is lifted before the deadline it is sent, alone or with others", async () => {
      for (const scope of ["platform", "follower:ann-person"] as const) {
        await set("halt", scope);
        const sending = send(["ann", "bob"], { ...again, forMs: 5_000 });
        await set("lift", scope);
        expect((await sending).words).toEqual(["placed", "placed"]);
      }
    });

    test("nothing is sent if the halts cannot be read", async () => {
      await redis.send("SET", new RegionKeys(0).halts, "no hash");
      const { words, booked } = await send(["ann"], again);
      expect(words).toEqual(["TOO_LATE"]);
      expect(booked).toEqual([]);
    });
  });

  test("the first send of new intents does not read halts, because their script has just compared them", async () => {
    await set("halt", "platform");
    const { words, booked } = await send(["ann", "bob"]);
    expect(words).toEqual(["placed", "placed"]);
    expect(booked).toEqual(["ann", "bob"]);
  });

  test("one of a shard who is halted between the first and a repeated send delays none of the others", async () => {
    await broker.misbehave({ resetBefore: 1 });
    const forMs = 3_000;
    const deadlineMs = Date.now() + forMs;
    const sending = send(CROWD, { forMs });
    const lost = () => until("a send was lost", async () => (await broker.crowd()) > 0);
    await lost();
    await set("halt", "follower:crowd-7-person");
    // One of these may have been checked before the halt.
    await lost();
    await lost();
    await broker.misbehave({});
    const others = CROWD.length - 1;
    const id = signalIdOf(signals);
    await until("the others are booked", () => bookedOf(id).length === others);
    expect(Date.now()).toBeLessThan(deadlineMs);
    const { words, booked, sentAtMs, answeredAtMs } = await sending;
    expect(words.filter((word) => word === "placed")).toHaveLength(others);
    expect(words[7]).toBe("HALTED");
    expect(booked).not.toContain("crowd-7");
    expect(answeredAtMs ?? 0).toBeGreaterThanOrEqual(sentAtMs ?? Infinity);
  });

  describe("a broker with a rate", () => {
    test("gets no more at once than it allows, and each copy has its own answer", async () => {
      const allowance = new Allowance(redis.client, SYSTEM_CLOCK, "fake", 10);
      expect(allowance.slice).toBe(1);
      const names = ["ann", "nobody", "carl"];
      const { words, sentAtMs, answeredAtMs } = await send(names, { allowance, forMs: 5_000 });
      expect(words).toEqual(["placed", "rejected", "placed"]);
      expect(sentAtMs ?? Infinity).toBeLessThanOrEqual(answeredAtMs ?? 0);
    });

    test("is not sent orders for which it has no room before their deadline", async () => {
      const allowance = new Allowance(redis.client, SYSTEM_CLOCK, "fake", 1);
      const { words, booked } = await send(["ann", "bob", "carl"], { allowance, forMs: 200 });
      expect(words.toSorted()).toEqual(["TOO_LATE", "TOO_LATE", "placed"]);
      expect(booked).toHaveLength(1);
    });

    test("does not lose room to stopped orders", async () => {
      const stopped = CROWD.slice(0, 8);
      for (const name of stopped) await set("halt", `follower:${name}-person`);
      // Two a second, leased one at a time: the stopped orders would use them up.
      const allowance = new Allowance(redis.client, SYSTEM_CLOCK, "fake", 2);
      const how = { allowance, forMs: 500, state: "maybe-sent" } as const;
      const { words } = await send([...stopped, "ann", "bob"], how);
      expect(words).toEqual([...stopped.map(() => "HALTED" as const), "placed", "placed"]);
    });
  });
});
