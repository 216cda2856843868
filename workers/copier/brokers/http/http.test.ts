import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  asId,
  clientOrderId,
  signalIdIn,
  type AccountId,
  type SubscriptionId,
} from "../../../../domain/ids.ts";
import {
  startFakeBroker,
  type FakeBroker,
  type Faults,
} from "../../../../tests/support/fake-broker.ts";
import { placeBatch } from "../../../../tests/support/placing.ts";
import { startScriptRedis, type ScriptRedis } from "../../../../tests/support/scripts.ts";
import { until } from "../../../../tests/support/wait.ts";
import { conformance } from "../conformance.ts";
import type { Capabilities, OrderBatch } from "../port.ts";

/** The workers' Redis, where they read the halts. Nothing is halted. */
let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});

type Kind = Omit<Capabilities, "inFlightMs">;

const DEDUPLICATES = ["none", "open-orders", "ten-minutes", "account"] as const;
const SURE = { lookUp: "authoritative", validUntil: "enforced" } as const;

/** Starts a broker of each named kind, for the tests of one block. */
function brokers(kinds: Readonly<Record<string, Kind>>): (name: string) => FakeBroker {
  const started = new Map<string, FakeBroker>();
  beforeAll(async () => {
    for (const [name, kind] of Object.entries(kinds)) {
      started.set(name, await startFakeBroker(kind, { windowMs: 2_000, inFlightMs: 300 }));
    }
  });
  afterAll(async () => {
    for (const each of started.values()) await each.stop();
  });
  return (name) => {
    const found = started.get(name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  };
}

const every = Object.fromEntries(
  DEDUPLICATES.flatMap((deduplicates) =>
    (["authoritative", "hint"] as const).flatMap((lookUp) =>
      (["enforced", "ignored"] as const).map((validUntil) => [
        `${deduplicates}, ${lookUp}, ${validUntil}`,
        { deduplicates, lookUp, validUntil },
      ]),
    ),
  ),
) as Record<string, Kind>;

async function batchAt(
  fake: FakeBroker,
  { count = 30, ...terms }: Partial<OrderBatch> & { count?: number } = {},
): Promise<OrderBatch> {
  const signal = signalIdIn(0, crypto.randomUUID().replaceAll("-", ""));
  const account = asId<AccountId>(crypto.randomUUID());
  await fake.deposit([account], 1_000_000);
  return {
    symbol: "EUR/USD",
    contract: "CALL",
    durationSeconds: 60,
    validUntilMs: Date.now() + 300,
    shard: 0,
    orders: Array.from({ length: count }, (_, index) => {
      const subscription = asId<SubscriptionId>(`sub-${index}`);
      const id = clientOrderId(signal, subscription);
      return { clientOrderId: id, subscription, account, stakeCents: 100 };
    }),
    ...terms,
  };
}

const booked = (fake: FakeBroker, batch: OrderBatch): string[] => {
  const ids = new Set<string>(batch.orders.map((each) => each.clientOrderId));
  return fake
    .book()
    .map((line) => line.clientOrderId)
    .filter((id) => ids.has(id));
};

describe("the fake broker, if it never forgets ids and enforces valid-until", () => {
  const at = brokers({ account: { deduplicates: "account", closes: "once", ...SURE } });
  conformance("http", () => {
    const fake = at("account");
    return {
      broker: fake.broker,
      async account(balanceCents) {
        const account = asId<AccountId>(crypto.randomUUID());
        await fake.deposit([account], balanceCents);
        return account;
      },
      balanceOf: (account) => fake.balanceOf(account),
    };
  });
});

describe("the fake broker forgets ids as its kind says", () => {
  const at = brokers(
    Object.fromEntries(
      DEDUPLICATES.map((deduplicates) => [deduplicates, { deduplicates, ...SURE }]),
    ),
  );
  const counts: Readonly<Record<string, readonly number[]>> = {
    none: [2, 3, 4],
    "open-orders": [1, 2, 3],
    "ten-minutes": [1, 1, 2],
    account: [1, 1, 1],
  };
  test("while its order is open, once it is closed, and after ten minutes", async () => {
    const found = await Promise.all(
      Object.keys(counts).map(async (kind) => {
        const fake = at(kind);
        const validUntilMs = Date.now() + 10_000;
        const batch = await batchAt(fake, { count: 1, durationSeconds: 1, validUntilMs });
        const openedAtMs = Date.now();
        await fake.broker.open(batch);
        const seen: number[] = [];
        // The contract is open for a second, and this broker's ten minutes are two.
        for (const afterMs of [0, 1_100, 2_200]) {
          await until("the time has come", () => Date.now() >= openedAtMs + afterMs);
          await fake.broker.open(batch);
          seen.push(booked(fake, batch).length);
        }
        return [kind, seen] as const;
      }),
    );
    expect(Object.fromEntries(found)).toEqual(counts as Record<string, number[]>);
  });
});

describe("at a broker of every kind, an order", () => {
  const at = brokers(every);
  /**
   * Places a batch at all of them at once. Returns, by their names, what was
   * reported and how many were booked.
   */
  const placeAtEach = async (faults: Partial<Faults>): Promise<Record<string, string>> => {
    const found = await Promise.all(
      Object.keys(every).map(async (name) => {
        const fake = at(name);
        await fake.misbehave(faults);
        const batch = await batchAt(fake);
        const { outcomes } = await placeBatch(fake.broker, redis.client, batch);
        await fake.misbehave({});
        const told = [...new Set(outcomes.map(({ kind }) => kind))].toSorted().join(" or ");
        return [name, `${told}; ${booked(fake, batch).length} booked`] as const;
      }),
    );
    return Object.fromEntries(found);
  };
  const wanted = (told: (name: string) => string): Record<string, string> =>
    Object.fromEntries(Object.keys(every).map((name) => [name, told(name)]));

  test("whose answer is lost is booked once, and reported as found or as unknown", async () => {
    expect(await placeAtEach({ resetAfter: 1 })).toEqual(
      wanted((name) => `${name.includes("hint") ? "placed or unknown" : "placed"}; 30 booked`),
    );
  });

  test("that never arrives is reported as skipped only if its broker is sure", async () => {
    // A broker that ignores valid-until is believed later, once nothing can be in flight.
    const sure = "authoritative, enforced";
    expect(await placeAtEach({ resetBefore: 1 })).toEqual(
      wanted((name) => `${name.endsWith(sure) ? "skipped" : "unknown"}; 0 booked`),
    );
  });
});

describe("an order whose deadline has passed (P3)", () => {
  const at = brokers({
    ignores: { deduplicates: "account", lookUp: "authoritative", validUntil: "ignored" },
  });

  test("does not leave, though the broker would take it", async () => {
    const fake = at("ignores");
    const batch = await batchAt(fake, { validUntilMs: Date.now() - 1 });
    const { outcomes } = await placeBatch(fake.broker, redis.client, batch);
    expect(new Set(outcomes.map((each) => each.kind))).toEqual(new Set(["skipped"]));
    expect(booked(fake, batch)).toEqual([]);
  });
});

describe("a broker that turns calls away", () => {
  const at = brokers({ none: { deduplicates: "none", lookUp: "hint", validUntil: "ignored" } });

  test("is sent the same order again, because it certainly took nothing", async () => {
    const fake = at("none");
    await fake.misbehave({ busy: 0.7, retryAfterMs: 20 });
    const batch = await batchAt(fake, { validUntilMs: Date.now() + 5_000 });
    const { outcomes } = await placeBatch(fake.broker, redis.client, batch);
    expect(outcomes.every(({ kind }) => kind === "placed")).toBe(true);
    expect(booked(fake, batch)).toHaveLength(batch.orders.length);
  });

  test("until the deadline causes a skip, and the copy is never sent later", async () => {
    const fake = at("none");
    await fake.misbehave({ busy: 1, retryAfterMs: 60_000 });
    const batch = await batchAt(fake);
    const { outcomes } = await placeBatch(fake.broker, redis.client, batch);
    expect(Date.now()).toBeLessThan(batch.validUntilMs + 1_000);
    expect(new Set(outcomes.map((each) => each.kind))).toEqual(new Set(["skipped"]));
    expect(booked(fake, batch)).toEqual([]);
  });
});

describe("a broker that fills orders in part", () => {
  const at = brokers({ account: { deduplicates: "account", ...SURE } });

  test.each([
    ["and answers", {}],
    ["and whose answer is lost", { resetAfter: 1 }],
  ])("%s: each is told at the stake that was booked", async (_how, faults) => {
    const fake = at("account");
    await fake.misbehave({ partial: 0.5, ...faults });
    const batch = await batchAt(fake);
    const { outcomes } = await placeBatch(fake.broker, redis.client, batch);
    await fake.misbehave({});
    const told = batch.orders.map(({ clientOrderId: id }, index) => {
      const outcome = outcomes[index];
      return [id, outcome?.kind === "placed" ? outcome.stakeCents : outcome?.kind] as const;
    });
    const stakes = new Map(fake.book().map((line) => [line.clientOrderId, line.stakeCents]));
    expect(told).toEqual(batch.orders.map(({ clientOrderId: id }) => [id, stakes.get(id)]));
    expect(new Set(told.map(([, stakeCents]) => stakeCents))).toEqual(new Set([60, 100]));
  });
});

describe("a broker that is dead for a while", () => {
  const at = brokers({
    account: { deduplicates: "account", ...SURE },
    none: { deduplicates: "none", ...SURE },
  });

  test.each([
    ["account", "placed", 30],
    ["none", "skipped", 0],
  ] as const)(
    "refuses connections and books nothing; once it is back, at %s an order ends as %s",
    async (name, told, count) => {
      const fake = at(name);
      const batch = await batchAt(fake, { validUntilMs: Date.now() + 1_000 });
      await fake.misbehave({ dead: true });
      const placing = placeBatch(fake.broker, redis.client, batch);
      expect(await fake.broker.lookUp(batch)).toEqual({ kind: "unanswered" });
      expect(booked(fake, batch)).toEqual([]);
      await fake.misbehave({});
      const { outcomes } = await placing;
      expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set([told]));
      expect(booked(fake, batch)).toHaveLength(count);
    },
  );
});
