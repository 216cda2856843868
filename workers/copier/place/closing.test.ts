/**
 * Complete closes: accepted, dispatched, sold and reported. The verdict is read
 * from the desk's own books.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { saleCents } from "../../../tests/support/contract-model.ts";
import type { SignalId } from "../../../domain/ids.ts";
import { parseBucket, type Contract } from "../../desk/stored/books.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { DeskKeys } from "../../desk/stored/keys.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import type { StopAction } from "../../../domain/copier/stop.ts";
import { deadLetters } from "../../../redis/streams.ts";
import {
  followerOf,
  HOME,
  PARTITIONS,
  readBooks,
  readClosures,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startFakeBroker } from "../../../tests/support/fake-broker.ts";
import { startRedis, untilOldEnough } from "../../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import type { Capabilities } from "../brokers/port.ts";
import { writeStop } from "../roster/stops.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { Reach } from "../dispatch/reach.ts";
import { complete as dispatch } from "../dispatch/redispatch.ts";
import { PAYOUT_BP } from "../../desk/server/contracts.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 60;
const ALL = {
  followers: FOLLOWERS,
  placed: FOLLOWERS,
  rejected: 0,
  skipped: 0,
  unknown: 0,
};

let desk: TestDesk;
let copier: Copier;
let worker: RoleProcess;

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS);
  worker = await startRole("broker", desk.env);
}, 30_000);
afterAll(async () => {
  await worker.stop();
  copier.stop();
  await desk.stop();
});

const parts = () => ({
  home: copier.redis,
  regions: new Map([["local", copier.redis]]),
  reach: new Reach(SYSTEM_CLOCK),
});

const set = async (scope: Scope, action: StopAction) =>
  await writeStop({ ...parts(), partitions: PARTITIONS }, scope, action);

async function opened(changes = {}): Promise<SignalId> {
  const id = await copier.send({ durationSeconds: 600, ...changes });
  await copier.complete(id);
  return id;
}

async function contracts(id: SignalId): Promise<Contract[]> {
  const rows = await Promise.all(
    PARTITIONS.all().map((each) =>
      copier.redis.send("HGETALL", [new DeskKeys(each).contracts(id)]),
    ),
  );
  return rows.flatMap((each) => parseBucket(id, each));
}

/** Each copy's outcomes in the order of reporting, `signal.subscription` → kinds. */
async function listOutcomes(close: SignalId): Promise<Map<string, string[]>> {
  const outcomes = new Map<string, string[]>();
  for (const { of, copies } of await readClosures(copier.redis, close)) {
    for (const [subscription, , outcome] of copies) {
      const name = `${of}.${subscription}`;
      const text = "reason" in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind;
      outcomes.set(name, [...(outcomes.get(name) ?? []), text]);
    }
  }
  return outcomes;
}

async function summary(close: SignalId): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const each of (await listOutcomes(close)).values()) {
    counts[each.join()] = (counts[each.join()] ?? 0) + 1;
  }
  return counts;
}

afterEach(async () => {
  for (const scope of [
    "platform",
    "channel:demo",
    "broker:desk",
    "follower:follower-0007",
  ] as const)
    await set(scope, "lift");
  // Positions that a test leaves open are closed before the next one counts.
  await copier.redis.send("DEL", [HOME.open("demo" as never)]);
});

describe("a close", () => {
  test("sells every copy of the symbol back once, at the house's price, and reports each", async () => {
    const before = (await readBooks(copier.redis, await copier.send({ symbol: "GBP/USD" })))
      .balanceCents;
    void before;
    const [first, second] = [await opened(), await opened()];
    const { id, followers } = await copier.close({ symbol: "EUR/USD" });
    expect(followers).toBe(2 * FOLLOWERS);
    const { counts, timing } = await copier.complete(id);
    expect(counts).toEqual({ ...ALL, followers: 2 * FOLLOWERS, placed: 2 * FOLLOWERS });
    expect(timing.firstMs).not.toBeNull();
    expect(await summary(id)).toEqual({ closed: 2 * FOLLOWERS });
    for (const signal of [first, second]) {
      const sold = await contracts(signal);
      expect(sold).toHaveLength(FOLLOWERS);
      for (const { state, sale, stakeCents, terms, contract } of sold) {
        if (state !== "sold" || !sale) throw new Error(state);
        const { openPriceMicros, openedAtMs, expiresAtMs } = terms;
        const isIn = contract === "CALL" && sale.closePriceMicros > openPriceMicros;
        const leftMs = expiresAtMs - sale.closedAtMs;
        const terms2 = { stakeCents, payoutBp: PAYOUT_BP };
        expect(sale.returnCents).toBe(saleCents(terms2, isIn, leftMs, expiresAtMs - openedAtMs));
        expect(sale.close).toBe(id);
      }
    }
  });

  test("of one signal does not change others of its symbol", async () => {
    const [other, closed] = [await opened(), await opened()];
    const { id, followers } = await copier.close({ signal: closed });
    expect(followers).toBe(FOLLOWERS);
    await copier.complete(id);
    expect(new Set((await contracts(closed)).map(({ state }) => state))).toEqual(new Set(["sold"]));
    expect(new Set((await contracts(other)).map(({ state }) => state))).toEqual(new Set(["open"]));
  });

  test("that is repeated finds nothing open, and pays no one again", async () => {
    const signal = await opened();
    await copier.complete((await copier.close({ signal })).id);
    const { balanceCents } = await readBooks(copier.redis, signal);
    const { id } = await copier.close({ signal });
    await copier.complete(id);
    expect(await summary(id)).toEqual({ "skipped: NOT_OPEN": FOLLOWERS });
    expect((await readBooks(copier.redis, signal)).balanceCents).toBe(balanceCents);
  });

  test("that is dispatched twice is executed once", async () => {
    const signal = await opened();
    const { id } = await copier.close({ signal }, false);
    await Promise.all([dispatch(parts(), HOME, id), dispatch(parts(), HOME, id)]);
    await copier.complete(id);
    expect(await summary(id)).toEqual({ closed: FOLLOWERS });
  });

  test("that comes before the open's jobs waits for their outcomes, and closes what they opened", async () => {
    const signal = await copier.send({ durationSeconds: 600 }, false);
    const { id } = await copier.close({ signal });
    await until("the close was put off", async () => {
      const states = await Promise.all(
        PARTITIONS.all().map((each) =>
          copier.redis.send("KEYS", [`region:{${each}}:closing:${id}:*`]),
        ),
      );
      return states.flat().length > 0;
    });
    expect((await copier.progress(id)).status).toBe("running");
    await dispatch(parts(), HOME, signal);
    await copier.complete(signal);
    await copier.complete(id);
    const states = (await contracts(signal)).map(({ state }) => state);
    expect(states.filter((state) => state === "open")).toEqual([]);
    expect((await listOutcomes(id)).size).toBe(FOLLOWERS);
  });

  test("waits for a copy whose open is unknown, which may be about to open, and for no other", async () => {
    const signal = await copier.send({ durationSeconds: 600 }, false);
    await copier.redis.send("ZREM", [HOME.undispatched, signal]);
    const mine = followerOf(7);
    const keys = PARTITIONS.all().map((each) => new RegionKeys(each).job(signal, "desk", 0));
    const intents = JSON.stringify({ decidedAtMs: 1, orders: [], skips: [] });
    for (const key of keys) {
      const fields = ["intents", intents, "outcomes", "1", "unknown", JSON.stringify([mine.id])];
      await copier.redis.send("HSET", [key, ...fields]);
    }
    const { id } = await copier.close({ signal });
    await until("all others are reported", async () => {
      return (await copier.progress(id)).counts.skipped === FOLLOWERS - 1;
    });
    await until("it was put off again", async () => {
      const key = new RegionKeys(PARTITIONS.ofAccount(mine.account)).closing(id, signal, "desk", 0);
      const state = (await copier.redis.send("HGET", [key, "state"])) as string;
      return (JSON.parse(state) as { turn: number }).turn >= 3;
    });
    expect((await listOutcomes(id)).has(`${signal}.${mine.id}`)).toBe(false);
    for (const key of keys) await copier.redis.send("HDEL", [key, "unknown"]);
    await copier.complete(id);
    expect(await summary(id)).toEqual({ "skipped: NOT_OPEN": FOLLOWERS });
  });

  test("of copies that were never opened, or have expired, reports that for each", async () => {
    const signal = await copier.send({ durationSeconds: 1 });
    await copier.complete(signal);
    await until("it has settled", async () =>
      (await contracts(signal)).every(({ state }) => state !== "open"),
    );
    const { id, followers } = await copier.close({ signal });
    expect(followers).toBe(FOLLOWERS);
    await copier.complete(id);
    expect(await summary(id)).toEqual({ "skipped: NOT_OPEN": FOLLOWERS });
  });

  test("with nothing open is complete at once", async () => {
    const { id, followers } = await copier.close({ symbol: "GBP/USD" });
    expect(followers).toBe(0);
    expect((await copier.progress(id)).status).toBe("complete");
  });

  test("passes a drain", async () => {
    const signal = await opened();
    await set("platform", "drain");
    const { id } = await copier.close({ signal });
    await copier.complete(id);
    expect(await summary(id)).toEqual({ closed: FOLLOWERS });
  });

  test.each(["platform", "channel:demo", "provider:demo-provider", "broker:desk"] as const)(
    "is accepted under a halt of %s, waits, and is sent when it is lifted (P4)",
    async (scope) => {
      const signal = await opened();
      await set(scope, "halt");
      const { id } = await copier.close({ signal });
      await until("its jobs were put off several times", async () => (await turnsOf(id)) >= 3);
      expect(new Set((await contracts(signal)).map(({ state }) => state))).toEqual(
        new Set(["open"]),
      );
      expect((await copier.progress(id)).counts.placed).toBe(0);
      await set(scope, "lift");
      await copier.complete(id);
      expect(await summary(id)).toEqual({ closed: FOLLOWERS });
    },
  );

  test("waits only with the copy of a halted follower, and closes all others", async () => {
    const signal = await opened();
    await set("follower:follower-0007", "halt");
    const { id } = await copier.close({ signal });
    await until("all others are closed", async () => {
      const { counts } = await copier.progress(id);
      return counts.placed === FOLLOWERS - 1;
    });
    const mine = `${signal}.${followerOf(7).id}`;
    const open = (await contracts(signal)).filter(({ state }) => state === "open");
    expect(open.map(({ clientOrderId }) => clientOrderId as string)).toEqual([mine]);
    await set("follower:follower-0007", "lift");
    await copier.complete(id);
    expect((await listOutcomes(id)).get(mine)).toEqual(["closed"]);
    expect(await summary(id)).toEqual({ closed: FOLLOWERS });
  });

  test.each([
    "before-close-send",
    "after-close-answer",
    "before:move-closing",
    "after:move-closing",
  ] as const)("whose worker is killed %s is sold and reported once by the next", async (point) => {
    const signal = await opened();
    await worker.stop();
    const { id } = await copier.close({ signal });
    worker = await startRole("broker", { ...desk.env, FANFARE_CRASH_AT: `${point}:1:kill` });
    await worker.exited;
    worker = await startRole("broker", desk.env);
    await copier.complete(id);
    expect(await summary(id)).toEqual({ closed: FOLLOWERS });
    const sold = await contracts(signal);
    expect(sold.map(({ state }) => state)).toEqual(sold.map(() => "sold"));
    expect(sold).toHaveLength(FOLLOWERS);
  });

  test("leaves no dead letter", async () => {
    for (const partition of PARTITIONS.all()) {
      const stream = deadLetters(new RegionKeys(partition).closes("desk"));
      expect(await copier.redis.send("XLEN", [stream])).toBe(0);
    }
  });
});

describe("at a broker over a network", () => {
  type Kind = Omit<Capabilities, "inFlightMs">;
  const SURE = {
    deduplicates: "account",
    lookUp: "authoritative",
    validUntil: "enforced",
  } as const;
  const KINDS: Readonly<Record<string, Kind>> = {
    "that takes a close once": { ...SURE, closes: "once" },
    "that sells at every repetition, and can say what it sold": SURE,
    "that sells at every repetition, and gives only hints": { ...SURE, lookUp: "hint" },
  };

  test.each(Object.entries(KINDS))(
    "%s, loses calls and answers: each position is sold once, and reported as sold or unknown",
    async (_, kind) => {
      const redis = await startRedis();
      await untilOldEnough();
      const fake = await startFakeBroker(kind, { inFlightMs: 500 });
      const other = await startCopier({ redisUrl: redis.url, deposit: fake.deposit }, FOLLOWERS, {
        broker: "fake",
      });
      const env = {
        FANFARE_REDIS_URL: redis.url,
        FANFARE_PARTITIONS: "4",
        FANFARE_DESK_TOKEN: crypto.randomUUID(),
        ...fake.env(),
      };
      const beside = await startRole("broker", env);
      try {
        const signal = await other.send({ durationSeconds: 600 });
        await until("all are placed", async () => {
          return (await other.progress(signal)).counts.placed === FOLLOWERS;
        });
        const mayHint = kind.lookUp === "hint";
        // Each of these loses half of the calls, before or after they took effect.
        await fake.misbehave({ resetBefore: 0.2, silent: 0.05, resetAfter: 0.3, busy: 0.1 });
        const { id } = await other.close({ signal });
        const counts = await until(
          "every copy has an outcome",
          async () => {
            const found = (await other.progress(id)).counts;
            const sold = fake.sales().length;
            const isOver = found.placed === FOLLOWERS || (mayHint && found.unknown > 0);
            return sold > 0 && isOver && found.placed + found.unknown === FOLLOWERS && found;
          },
          25_000,
        );
        const sales = fake.sales().map(({ sold }) => sold);
        expect(new Set(sales).size).toBe(sales.length);
        const finals = new Map<string, string>();
        for (const { copies } of await readClosures(other.redis, id)) {
          for (const [subscription, , outcome] of copies) finals.set(subscription, outcome.kind);
        }
        expect(finals.size).toBe(FOLLOWERS);
        const closed = [...finals].flatMap(([each, last]) => (last === "closed" ? [each] : []));
        expect(counts.placed).toBeLessThanOrEqual(closed.length);
        for (const each of closed) expect(sales).toContain(`${signal}.${each}`);
      } finally {
        await beside.stop();
        other.stop();
        await fake.stop();
        await redis.stop();
      }
    },
  );

  test("whose rate is exceeded, every close waits and none is dropped", async () => {
    const redis = await startRedis();
    const fake = await startFakeBroker({ ...SURE, closes: "once" });
    const other = await startCopier({ redisUrl: redis.url, deposit: fake.deposit }, FOLLOWERS, {
      broker: "fake",
      deadlineMs: 10_000,
    });
    const beside = await startRole("broker", {
      FANFARE_REDIS_URL: redis.url,
      FANFARE_PARTITIONS: "4",
      FANFARE_BROKER_RATE: "50",
      FANFARE_DESK_TOKEN: crypto.randomUUID(),
      ...fake.env(),
    });
    try {
      const signal = await other.send({ durationSeconds: 600 });
      await until("all are placed", async () => {
        return (await other.progress(signal)).counts.placed === FOLLOWERS;
      });
      const { id } = await other.close({ signal });
      await until("all are closed", async () => {
        return (await other.progress(id)).counts.placed === FOLLOWERS;
      });
      const times = fake.sales().map(({ soldAtMs }) => soldAtMs);
      expect(times).toHaveLength(FOLLOWERS);
      // At most one second of the rate at once, and the rest at the broker's rate.
      expect(Math.max(...times) - Math.min(...times)).toBeGreaterThanOrEqual(150);
    } finally {
      await beside.stop();
      other.stop();
      await fake.stop();
      await redis.stop();
    }
  });
});

/** How many times the jobs of a close were postponed: the smallest number of all. */
async function turnsOf(close: SignalId): Promise<number> {
  const turns: number[] = [];
  for (const partition of PARTITIONS.all()) {
    const keys = (await copier.redis.send("KEYS", [
      `region:{${partition}}:closing:${close}:*`,
    ])) as string[];
    for (const key of keys) {
      const state = (await copier.redis.send("HGET", [key, "state"])) as string;
      turns.push((JSON.parse(state) as { turn: number }).turn);
    }
  }
  return turns.length === 0 ? 0 : Math.min(...turns);
}
