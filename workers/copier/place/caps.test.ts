/** Plans executed by real processes at the real desk. The verdict is read from its books. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { CopyPlan } from "../../../domain/copier/plan.ts";
import type { SignalId } from "../../../domain/ids.ts";
import type { OpenSignal } from "../../../domain/copier/signal.ts";
import { parseUsage } from "../../../domain/copier/caps.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import {
  followerOf,
  PARTITIONS,
  readBooks,
  readOutcomes,
  startCopier,
  subscribe,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startCuttableDesk, type CuttableDesk } from "../../../tests/support/desk.ts";
import { untilOldEnough } from "../../../tests/support/redis.ts";
import { startRoles, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";

setDefaultTimeout(30_000);

const FIXED = { kind: "fixed", stakeCents: 100 } as const;
const BALANCE_CENTS = 10_000;

let desk: CuttableDesk;
let copier: Copier;
let workers: RoleProcess[] = [];
let people = 0;

beforeAll(async () => {
  desk = await startCuttableDesk();
  copier = await startCopier(desk, 0);
  await outliveFirstSecond();
}, 30_000);
afterAll(async () => {
  copier.stop();
  await desk.stop();
});
afterEach(async () => {
  desk.link.mend();
  await stopWorkers();
});

/**
 * Signals of a partition's first second count as older than its Redis, and an
 * order beyond a cap as one that was sent.
 */
async function outliveFirstSecond(): Promise<void> {
  people = 4 * PARTITIONS.count;
  await subscribe(
    copier.redis,
    Array.from({ length: people }, (_, index) => followerOf(index)),
  );
  await startWorkers(1);
  await complete(await copier.send());
  await stopWorkers();
  await untilOldEnough();
}

async function stopWorkers(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
  await subscribe(
    copier.redis,
    Array.from({ length: people }, (_, index) => followerOf(index, { state: "left", version: 9 })),
  );
}

async function startWorkers(count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `worker-${index}`);
  workers = await startRoles("broker", desk.env, names);
}

interface Follower {
  readonly subscription: string;
  readonly account: string;
}

/** Makes a new follower for each plan. */
async function follow(plan: CopyPlan, balanceCents = BALANCE_CENTS): Promise<Follower> {
  const each = followerOf(people, { plan });
  people += 1;
  await desk.deposit([each.account], balanceCents);
  await subscribe(copier.redis, [each]);
  return { subscription: each.id, account: each.account };
}

async function complete(id: SignalId): Promise<ReadonlyMap<string, string[]>> {
  await copier.resolve(id);
  return await readOutcomes(copier.redis, id);
}

async function awaitOutcome(
  { subscription }: Follower,
  changes: Partial<OpenSignal> = {},
): Promise<string> {
  const outcomes = await complete(await copier.send({ durationSeconds: 3_600, ...changes }));
  return outcomes.get(subscription)?.join() ?? "none";
}

async function readUsage({ subscription, account }: Follower) {
  const key = new RegionKeys(PARTITIONS.ofAccount(account as never)).usage("desk");
  return parseUsage(((await copier.redis.send("HGET", [key, subscription])) as string) ?? "");
}

test("signals at once never exceed a follower's caps, and fill them", async () => {
  const day = await follow({ sizing: FIXED, maxDayStakeCents: 350 });
  const open = await follow({ sizing: FIXED, maxOpen: 2 });
  const free = await follow({ sizing: FIXED });
  await startWorkers(2);
  const ids = await Promise.all(
    Array.from({ length: 12 }, () => copier.send({ durationSeconds: 3_600 })),
  );
  const completed = await Promise.all(ids.map(complete));
  const countOutcomes = ({ subscription }: Follower): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const outcomes of completed) {
      const [kind = "none"] = outcomes.get(subscription) ?? [];
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  };
  expect(countOutcomes(day)).toEqual({ placed: 3, "skipped: DAY_CAP": 9 });
  expect(countOutcomes(open)).toEqual({ placed: 2, "skipped: OPEN_CAP": 10 });
  expect(countOutcomes(free)).toEqual({ placed: 12 });
  expect(await desk.balanceOf(day.account)).toBe(BALANCE_CENTS - 300);
  expect(await desk.balanceOf(open.account)).toBe(BALANCE_CENTS - 200);
  expect(await readUsage(day)).toMatchObject({ stakedCents: 300, open: 3 });
});

test("a rejected order gives its part of the caps back", async () => {
  const mine = await follow({ sizing: FIXED, maxDayStakeCents: 100, maxOpen: 1 }, 50);
  await startWorkers(1);
  expect(await awaitOutcome(mine)).toBe("rejected: BALANCE_TOO_LOW");
  expect(await readUsage(mine)).toMatchObject({ stakedCents: 0, open: 0 });
  await desk.deposit([mine.account], 1_000);
  expect(await awaitOutcome(mine)).toBe("placed");
  expect(await awaitOutcome(mine)).toBe("skipped: OPEN_CAP");
});

test("an unknown order keeps its part until the broker says that it was never opened", async () => {
  const mine = await follow({ sizing: FIXED, maxOpen: 1 });
  await startWorkers(1);
  desk.link.cut();
  const id = await copier.send({ durationSeconds: 3_600 });
  await until("it is unknown", async () => (await copier.progress(id)).counts.unknown === 1);
  expect(await readUsage(mine)).toMatchObject({ open: 1 });
  desk.link.mend();
  expect((await complete(id)).get(mine.subscription)).toEqual(["unknown", "skipped: TOO_LATE"]);
  expect(await readUsage(mine)).toMatchObject({ open: 0, stakedCents: 0 });
  expect(await awaitOutcome(mine)).toBe("placed");
});

test("a settlement frees a position and adds the loss to the day, where the loss limit counts it", async () => {
  const up = await follow({ sizing: FIXED, maxOpen: 1, maxDayLossCents: 100 });
  const down = await follow({ sizing: FIXED, maxOpen: 1, maxDayLossCents: 100, reverse: true });
  await startWorkers(1);
  await complete(await copier.send({ durationSeconds: 1 }));
  const next = (each: Follower) =>
    until("it is settled", async () => {
      const usage = await readUsage(each);
      return usage.open === 0 && usage;
    });
  // An unchanged price is a loss for both.
  const losses = [];
  for (const each of [up, down]) {
    const { lossCents, stakedCents } = await next(each);
    expect(stakedCents).toBe(100);
    expect(await desk.balanceOf(each.account)).toBe(BALANCE_CENTS - lossCents);
    losses.push(lossCents);
  }
  expect(losses).toContain(100);
  const outcomes = await complete(await copier.send({ durationSeconds: 3_600 }));
  for (const [index, { subscription }] of [up, down].entries()) {
    expect(outcomes.get(subscription)).toEqual([
      losses[index] === 100 ? "skipped: DAY_LOSS" : "placed",
    ]);
  }
});

test("one signal is sent with each plan's symbol, contract and size", async () => {
  const straight = await follow({ sizing: FIXED });
  const reversed = await follow({ sizing: FIXED, reverse: true });
  // The desk has no quote for this symbol. Its refusal shows that it was asked for this symbol.
  const renamed = await follow({ sizing: FIXED, symbolMap: { "EUR/USD": "EURUSD" } });
  const share = await follow({ sizing: { kind: "balance", shareBp: 250 } });
  const picky = await follow({ sizing: FIXED, minPayoutBp: 8_501 });
  const paid = await follow({ sizing: FIXED, minPayoutBp: 8_500 });
  await startWorkers(1);
  const id = await copier.send({ durationSeconds: 3_600 });
  const outcomes = await complete(id);
  const placed = [straight, reversed, share, paid];
  expect(placed.map(({ subscription }) => outcomes.get(subscription))).toEqual(
    placed.map(() => ["placed"]),
  );
  expect(outcomes.get(renamed.subscription)).toEqual(["rejected: QUOTE_STALE"]);
  expect(outcomes.get(picky.subscription)).toEqual(["skipped: PAYOUT_TOO_LOW"]);
  expect(await desk.balanceOf(share.account)).toBe(BALANCE_CENTS - 250);
  expect((await readBooks(copier.redis, id)).contracts.size).toBe(placed.length);
});
