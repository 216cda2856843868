import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { Copy } from "../../../domain/copier/copy.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import { NO_LAYERS } from "./layers.ts";
import { makeCopy, makeSkippedCopy } from "../../../tests/support/copies.ts";
import { intend } from "./intents.ts";
import { answer, countCopies, report } from "./outcomes.ts";
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

/**
 * An order of a subscription into an account. One that is only asked about may
 * have been sent before.
 */
interface Ordered {
  readonly subscription: string;
  readonly account: string;
  readonly isAskOnly?: boolean;
}
const order = (subscription: string, account: string, isAskOnly = false): Ordered => ({
  subscription,
  account,
  isAskOnly,
});

const copiesOf = (index: number, orders: readonly Ordered[], outcome?: Outcome): Copy[] =>
  orders.map(({ subscription, account, isAskOnly }) =>
    makeCopy(signalIdOf(index), subscription, {
      account: account as AccountId,
      outcome,
      ...(isAskOnly ? { state: "ask-only", reason: "HALTED" } : {}),
    }),
  );

async function jobAt(index: number) {
  const acceptedAtMs = (await redis.nowMs()) + 60_000;
  return jobOf(acceptedOpen({ id: signalIdOf(index), acceptedAtMs }));
}

async function take(index: number, most: number | undefined, ...orders: Ordered[]) {
  const job = await jobAt(index);
  return await redis.run(intend, {
    partition: 0,
    job,
    shardVersion: 1,
    haltsVersion: "0",
    layersVersion: NO_LAYERS,
    decided: { decidedAtMs: 1, copies: copiesOf(index, orders) },
    ordersPerAccount: most,
  });
}

/** Writes the outcomes of orders, as a worker does. */
async function end(index: number, outcome: Outcome, ...orders: Ordered[]): Promise<void> {
  const job = await jobAt(index);
  const copies = copiesOf(index, orders, outcome);
  const ended = {
    partition: 0,
    job,
    entry: "1-1",
    copies,
    counts: countCopies(copies),
    decidedAtMs: 1,
    sentAtMs: 1,
    answeredAtMs: 1,
    ordersPerAccount: 1,
  };
  const isQuestion = await redis.send("HEXISTS", REGION.job(job.signal.id, "desk", 0), "unknown");
  const unknown = orders.map(({ subscription }) => subscription as SubscriptionId);
  await (isQuestion === 1 ? redis.run(answer, { ...ended, unknown }) : redis.run(report, ended));
}

/** The orders with a place in an account, without their times. */
async function held(account: string): Promise<string[]> {
  const text = (await redis.send("HGET", PLACES, account)) as string | null;
  return (text ?? "").split(",").flatMap((each) => (each === "" ? [] : [each.split("@")[0] ?? ""]));
}

const id = (index: number, subscription: string): string =>
  clientOrderId(signalIdOf(index), subscription as SubscriptionId);

describe("an account", () => {
  test("takes as many orders at once as the broker does, and names those that find no place", async () => {
    expect(await take(1, 2, order("a", "x"))).toEqual({ kind: "new" });
    expect(await take(2, 2, order("a", "x"))).toEqual({ kind: "new" });
    const before = await redis.everything();
    expect(await take(3, 2, order("a", "x"), order("b", "y"))).toEqual({
      kind: "at-capacity",
      subscriptions: ["a" as SubscriptionId],
    });
    // Nothing is written, not even for those that found a place.
    expect(await redis.everything()).toEqual(before);
    expect(await take(3, 2, order("b", "y"))).toEqual({ kind: "new" });
  });

  test("is counted over all orders of one job, too", async () => {
    expect(await take(1, 1, order("a", "x"), order("b", "x"), order("c", "y"))).toEqual({
      kind: "at-capacity",
      subscriptions: ["b" as SubscriptionId],
    });
  });

  test("is not counted if the broker has no limit", async () => {
    expect(await take(1, undefined, order("a", "x"), order("b", "x"))).toEqual({ kind: "new" });
    expect(await redis.send("EXISTS", PLACES)).toBe(0);
  });
});

describe("an order", () => {
  test("that may have been sent has a place, even if none is left", async () => {
    await take(1, 1, order("a", "x"));
    expect(await take(2, 1, order("b", "x", true))).toEqual({ kind: "new" });
    expect(await held("x")).toEqual([id(1, "a"), id(2, "b")]);
    expect(await take(3, 1, order("c", "x"))).toMatchObject({ kind: "at-capacity" });
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
    expect(await take(2, 1, order("b", "x"))).toMatchObject({ kind: "at-capacity" });
    await end(1, REJECTED, order("a", "x"));
    expect(await redis.send("EXISTS", PLACES)).toBe(0);
  });

  test("whose place no worker can give back any more keeps it for a day", async () => {
    const nowMs = await redis.nowMs();
    const place = (sinceMs: number) => `s0_lost.sub@${sinceMs}`;
    await redis.send("HSET", PLACES, "x", place(nowMs - ANSWER_TTL_MS + 60_000));
    await redis.send("HSET", PLACES, "y", place(nowMs - ANSWER_TTL_MS));
    expect(await take(1, 1, order("a", "x"), order("b", "y"))).toEqual({
      kind: "at-capacity",
      subscriptions: ["a" as SubscriptionId],
    });
    expect(await take(1, 1, order("b", "y"))).toEqual({ kind: "new" });
    expect(await held("y")).toEqual([id(1, "b")]);
  });
});

test("an account never has more unanswered orders than the broker takes, and in the end none", async () => {
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
        expect(kind).toBe(atOnce < most ? "new" : "at-capacity");
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

test("an order that ended frees its place, and another does not", () => {
  const copies = [
    ...copiesOf(1, [order("a", "x")], REJECTED),
    ...copiesOf(1, [order("b", "y")], UNKNOWN),
    ...copiesOf(1, [order("c", "z")]),
    // It never took one.
    makeSkippedCopy(signalIdOf(1), "d", "PAUSED"),
  ];
  expect(freedOf(copies).map(String)).toEqual([`x,${id(1, "a")}`]);
});
