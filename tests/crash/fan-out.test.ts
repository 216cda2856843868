/**
 * Processes are killed in the middle of a fan-out. Afterwards every follower has exactly one
 * outcome, and the orders that are placed by the outcomes are exactly those on the desk's own
 * books.
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
import { returnCents } from "../support/contract-model.ts";
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import {
  PARTITIONS,
  readBooks,
  readOutcomes,
  startCopier,
  type Copier,
} from "../support/copier.ts";
import { parseBucket } from "../../workers/desk/stored/books.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { startCuttableDesk, type CuttableDesk } from "../support/desk.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 1_000;
const ROUNDS = 8;

let desk: CuttableDesk;
let copier: Copier;
let worker: RoleProcess | undefined;

beforeAll(async () => {
  desk = await startCuttableDesk("always");
  copier = await startCopier(desk, FOLLOWERS);
});
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});
afterAll(async () => {
  copier.stop();
  await desk.stop();
});

async function startWorker(): Promise<void> {
  worker = await startRole("broker", desk.env);
}

/** Waits for the last outcome, and compares the reported with the booked orders. */
async function expectOneOutcomeEach(id: SignalId): Promise<Record<string, number>> {
  await copier.resolve(id, 30_000);
  const outcomes = await readOutcomes(copier.redis, id);
  expect(outcomes.size).toBe(FOLLOWERS);
  const placed: string[] = [];
  const reported: Record<string, number> = {};
  for (const [subscription, kinds] of outcomes) {
    const final = kinds.filter((kind) => kind !== "unknown");
    expect(final).toHaveLength(1);
    const kind = final[0] ?? "";
    reported[kind] = (reported[kind] ?? 0) + 1;
    if (kind === "placed") placed.push(clientOrderId(id, subscription as SubscriptionId));
  }
  const { counts } = await copier.progress(id);
  expect(counts.placed).toBe(placed.length);
  expect(counts.placed + counts.rejected + counts.skipped).toBe(FOLLOWERS);
  const books = await readBooks(copier.redis, id);
  expect([...books.contracts.keys()].toSorted()).toEqual(placed.toSorted());
  return reported;
}

describe("a broker worker killed in the middle of a fan-out", () => {
  test("after its intents and before its orders: the next one sends them, once", async () => {
    await startWorker();
    desk.link.cut();
    const id = await copier.send();
    await until("intents are written", async () => {
      const keys = PARTITIONS.all().map((each) => new RegionKeys(each).job(id, "desk", 0));
      return (await copier.redis.send("EXISTS", keys)) === PARTITIONS.count;
    });
    await worker?.kill();
    desk.link.mend();
    await startWorker();
    expect(await expectOneOutcomeEach(id)).toEqual({ placed: FOLLOWERS });
  });

  test("at any moment: every follower has one outcome and at most one order", async () => {
    let cutShort = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await startWorker();
      const id = await copier.send();
      await Bun.sleep(round * 3);
      await worker?.kill();
      if ((await copier.progress(id)).status === "running") cutShort += 1;
      await startWorker();
      await expectOneOutcomeEach(id);
      await worker?.stop();
    }
    expect(cutShort).toBeGreaterThan(0);
  });
});

describe("a Redis killed in the middle of a fan-out", () => {
  test("at any moment: every follower has one outcome and at most one order", async () => {
    await startWorker();
    for (let round = 0; round < ROUNDS / 2; round += 1) {
      const id = await copier.send();
      await Bun.sleep(round * 4);
      await desk.redis.kill();
      await desk.redis.restart();
      await expectOneOutcomeEach(id);
    }
  });
});

describe("money", () => {
  test("is exactly as in the desk's books, free or at stake, after all of this", async () => {
    const id = await copier.send({ durationSeconds: 3_600 }, false);
    const { balanceCents } = await readBooks(copier.redis, id);
    let atStake = 0;
    const keys = (await copier.redis.send("KEYS", ["desk:*:contracts:*"])) as string[];
    for (const key of keys) {
      const rows = await copier.redis.send("HGETALL", [key]);
      for (const { state, stakeCents, payoutBp, sale } of parseBucket(key, rows)) {
        // Contracts of this file run for a minute; some may have settled by now.
        if (state === "sold") atStake += stakeCents - (sale?.returnCents ?? 0);
        else
          atStake += stakeCents - (state === "open" ? 0 : returnCents(state, stakeCents, payoutBp));
      }
    }
    expect(balanceCents + atStake).toBe(FOLLOWERS * 1_000_000);
  });
});
