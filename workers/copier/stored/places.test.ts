import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  clientOrderId,
  type AccountId,
  type SignalId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import { countOutcomes, type Outcome } from "../../../domain/copier/outcome.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import type { OutcomesEvent } from "./events.ts";
import { intend, type IntendedOrder, type Intents } from "./intents.ts";
import { answer, report } from "./outcomes.ts";
import { freedOf } from "./places.ts";

const REGION = new RegionKeys(0);
const PLACES = REGION.places("desk");
const REJECTED: Outcome = { kind: "rejected", stakeCents: 100, reason: "REFUSED" };
const UNKNOWN: Outcome = { kind: "unknown", stakeCents: 100 };

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  await redis.send("HSET", REGION.rosterHead(acceptedOpen().channel, "desk"), "version:0", "1");
});

/** An order of a subscription into an account; one that is only asked about may have been sent before. */
const order = (subscription: string, account: string, isAskOnly = false): IntendedOrder => {
  const [one, of] = [subscription as SubscriptionId, account as AccountId];
  return isAskOnly ? [one, of, 100, { askOnly: "HALTED" }] : [one, of, 100];
};

async function jobAt(index: number) {
  const acceptedAtMs = (await redis.nowMs()) + 60_000;
  return jobOf(acceptedOpen({ id: signalIdOf(index), acceptedAtMs }));
}

const intentsOf = (orders: readonly IntendedOrder[]): Intents => ({
  decidedAtMs: 1,
  orders,
  skips: [],
});

async function take(index: number, most: number | undefined, ...orders: IntendedOrder[]) {
  const job = await jobAt(index);
  return await redis.run(intend, {
    partition: 0,
    job,
    shardVersion: 1,
    haltsVersion: "0",
    layersVersion: "0",
    intents: intentsOf(orders),
    ordersPerAccount: most,
  });
}

/** Writes how orders ended, as a worker does. */
async function end(index: number, outcome: Outcome, ...orders: IntendedOrder[]): Promise<void> {
  const job = await jobAt(index);
  const event: OutcomesEvent = {
    kind: "outcomes",
    signal: job.signal.id,
    broker: "desk",
    shard: 0,
    acceptedAtMs: 1,
    dispatchedAtMs: 1,
    decidedAtMs: 1,
    sentAtMs: 1,
    answeredAtMs: 1,
    copies: orders.map(([subscription, account]) => [subscription, account, outcome]),
  };
  const freed = freedOf(intentsOf(orders), event);
  const counts = countOutcomes(orders.map(() => outcome));
  const told = { partition: 0, job, entry: "1-1", event, counts, freed };
  const isQuestion = await redis.send("HEXISTS", REGION.job(job.signal.id, "desk", 0), "unknown");
  const unknown = orders.map(([subscription]) => subscription);
  await (isQuestion === 1 ? redis.run(answer, { ...told, unknown }) : redis.run(report, told));
}

/** Who holds a place in an account, without since when. */
async function held(account: string): Promise<string[]> {
  const text = (await redis.send("HGET", PLACES, account)) as string | null;
  return (text ?? "").split(",").flatMap((each) => (each === "" ? [] : [each.split("@")[0] ?? ""]));
}

const id = (index: number, subscription: string): string =>
  clientOrderId(signalIdOf(index), subscription as SubscriptionId);

describe("an account", () => {
  test("takes as many orders at once as the broker does, and who finds no place is told", async () => {
    expect(await take(1, 2, order("a", "x"))).toEqual({ kind: "new" });
    expect(await take(2, 2, order("a", "x"))).toEqual({ kind: "new" });
    const before = await redis.everything();
    expect(await take(3, 2, order("a", "x"), order("b", "y"))).toEqual({
      kind: "crowded",
      subscriptions: ["a" as SubscriptionId],
    });
    // Nothing of it is written, of those who had found one neither.
    expect(await redis.everything()).toEqual(before);
    expect(await take(3, 2, order("b", "y"))).toEqual({ kind: "new" });
  });

  test("is counted over all orders of one job, too", async () => {
    expect(await take(1, 1, order("a", "x"), order("b", "x"), order("c", "y"))).toEqual({
      kind: "crowded",
      subscriptions: ["b" as SubscriptionId],
    });
  });

  test("is not counted where the broker does not care", async () => {
    expect(await take(1, undefined, order("a", "x"), order("b", "x"))).toEqual({ kind: "new" });
    expect(await redis.send("EXISTS", PLACES)).toBe(0);
  });
});

describe("an order", () => {
  test("that may have been sent has a place, also where there is none left", async () => {
    await take(1, 1, order("a", "x"));
    expect(await take(2, 1, order("b", "x", true))).toEqual({ kind: "new" });
    expect(await held("x")).toEqual([id(1, "a"), id(2, "b")]);
    expect(await take(3, 1, order("c", "x"))).toMatchObject({ kind: "crowded" });
  });

  test("gives its place back with its answer, and no other's", async () => {
    await take(1, 2, order("a", "x"), order("b", "x"));
    await end(1, REJECTED, order("a", "x"));
    expect(await held("x")).toEqual([id(1, "b")]);
    expect(await take(2, 2, order("c", "x"))).toEqual({ kind: "new" });
  });

  test("that stays unknown keeps its place until it is answered", async () => {
    await take(1, 1, order("a", "x"));
    await end(1, UNKNOWN, order("a", "x"));
    expect(await held("x")).toEqual([id(1, "a")]);
    expect(await take(2, 1, order("b", "x"))).toMatchObject({ kind: "crowded" });
    await end(1, REJECTED, order("a", "x"));
    expect(await redis.send("EXISTS", PLACES)).toBe(0);
  });

  test("whose place nobody can give back any more has it for a day", async () => {
    const nowMs = await redis.nowMs();
    const place = (sinceMs: number) => `s0_lost.sub@${sinceMs}`;
    await redis.send("HSET", PLACES, "x", place(nowMs - ANSWER_TTL_MS + 60_000));
    await redis.send("HSET", PLACES, "y", place(nowMs - ANSWER_TTL_MS));
    expect(await take(1, 1, order("a", "x"), order("b", "y"))).toEqual({
      kind: "crowded",
      subscriptions: ["a" as SubscriptionId],
    });
    expect(await take(1, 1, order("b", "y"))).toEqual({ kind: "new" });
    expect(await held("y")).toEqual([id(1, "b")]);
  });
});

test("an account never has more orders before the broker than it takes, and in the end none", async () => {
  const accounts = ["x", "y"];
  const step = fc.record({
    account: fc.constantFrom(...accounts),
    most: fc.constantFrom(1, 2, 3),
    ends: fc.array(fc.nat({ max: 10 }), { maxLength: 2 }),
  });
  let jobs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      await redis.send("DEL", PLACES);
      const open = new Map<number, string>();
      for (const { account, most, ends } of steps) {
        const index = (jobs += 1);
        const { kind } = await take(index, most, order("a", account));
        const atOnce = [...open.values()].filter((each) => each === account).length;
        expect(kind).toBe(atOnce < most ? "new" : "crowded");
        if (kind === "new") open.set(index, account);
        for (const which of ends) {
          const [ended, of] = [...open][which] ?? [];
          if (ended === undefined || of === undefined) continue;
          await end(ended, REJECTED, order("a", of));
          open.delete(ended);
        }
        for (const each of accounts) {
          const wanted = [...open].filter(([, of]) => of === each).map(([of]) => id(of, "a"));
          expect(await held(each)).toEqual(wanted);
        }
      }
    }),
    { numRuns: 25 },
  );
});

test("what ended is freed in its account, and what did not is not", () => {
  const orders = [order("a", "x"), order("b", "y"), order("c", "z")];
  const [a, b] = ["a", "b"].map((each) => each as SubscriptionId) as [
    SubscriptionId,
    SubscriptionId,
  ];
  const event = {
    signal: signalIdOf(1) as SignalId,
    copies: [
      [a, "x" as AccountId, REJECTED],
      [b, "y" as AccountId, UNKNOWN],
    ],
  } as unknown as OutcomesEvent;
  expect(freedOf(intentsOf(orders), event).map(String)).toEqual([`x,${id(1, "a")}`]);
});
