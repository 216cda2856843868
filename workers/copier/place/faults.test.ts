/** A row or a decision that fails affects no other copy, and every copy ends (P5). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import type { SignalId } from "../../../domain/ids.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { deadLetters } from "../../../redis/streams.ts";
import {
  CHANNEL,
  followerOf,
  PARTITIONS,
  readBooks,
  readOutcomes,
  startCopier,
  subscribe,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { checkRequested } from "../roster/requested.ts";

setDefaultTimeout(40_000);

/** All are in one partition, and so in one job. */
const [ONE, TWO, THREE] = Array.from({ length: 64 }, (_, index) => followerOf(index))
  .filter(({ account }) => PARTITIONS.ofAccount(account) === 0)
  .slice(0, 3) as [Followed, Followed, Followed];
type Followed = ReturnType<typeof followerOf>;

const REGION = new RegionKeys(0);
const ROWS = REGION.rosterShard(CHANNEL, "desk", 0);
const HEAD = REGION.rosterHead(CHANNEL, "desk");

let desk: TestDesk;
let copier: Copier;
let worker: RoleProcess | undefined;
const folder = mkdtempSync(join(tmpdir(), "fanfare-faults-"));
const records = openSqliteRecords(folder);

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, 0, { deadlineMs: 3_000 });
  const all = [ONE, TWO, THREE];
  await desk.deposit(
    all.map(({ account }) => account),
    1_000_000,
  );
  await subscribe(copier.redis, all);
  await records.subscriptions.putNewer(
    all.map(({ id: _id, ...rest }) => ({ _id, ...rest, outbox: false })),
  );
}, 30_000);
beforeEach(async () => {
  worker = await startRole("broker", { ...desk.env, FANFARE_CONSUMER: "worker" });
});
afterEach(async () => {
  await worker?.stop();
});
afterAll(async () => {
  await records.close();
  rmSync(folder, { recursive: true });
  copier.stop();
  await desk.stop();
});

/** Waits until each of the three has a final outcome. */
async function collectOutcomes(id: SignalId): Promise<Record<string, string[]>> {
  await until(
    "all have ended",
    async () => {
      const { counts } = await copier.progress(id);
      return counts.placed + counts.rejected + counts.skipped === 3;
    },
    20_000,
  );
  return Object.fromEntries(await readOutcomes(copier.redis, id));
}

test("a roster row that does not parse affects only its own follower's copy", async () => {
  const row = (await copier.redis.send("HGET", [ROWS, TWO.id])) as string;
  await copier.redis.send("HSET", [ROWS, TWO.id, row.slice(0, -1)]);
  // No worker has read it yet.
  await worker?.stop();
  worker = await startRole("broker", { ...desk.env, FANFARE_CONSUMER: "worker" });
  const id = await copier.send();
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: ["placed"],
    [TWO.id]: ["skipped: FAULT"],
    [THREE.id]: ["placed"],
  });
  await copier.redis.send("HSET", [ROWS, TWO.id, row]);
});

test("a job whose roster version was lost waits for the roster, asks for it, and is placed in time", async () => {
  const version = (await copier.redis.send("HGET", [HEAD, "version:0"])) as string;
  await copier.redis.send("HSET", [HEAD, "version:0", String(Number(version) - 1)]);
  const id = await copier.send();
  await until("the roster is asked for", async () =>
    Boolean(await copier.redis.send("SISMEMBER", [REGION.rostersBehind, CHANNEL])),
  );
  await copier.redis.send("HSET", [HEAD, "version:0", version]);
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: ["placed"],
    [TWO.id]: ["placed"],
    [THREE.id]: ["placed"],
  });
});

test("a row of which nothing can be read ends as skipped by the job's count, and no other does", async () => {
  const row = (await copier.redis.send("HGET", [ROWS, TWO.id])) as string;
  await copier.redis.send("HSET", [ROWS, TWO.id, "[1,["]);
  await worker?.stop();
  worker = await startRole("broker", { ...desk.env, FANFARE_CONSUMER: "worker" });
  const id = await copier.send();
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: ["placed"],
    [TWO.id]: ["skipped: FAULT"],
    [THREE.id]: ["placed"],
  });
  // The records are also asked for the row.
  expect(await copier.redis.send("SISMEMBER", [REGION.rostersBehind, CHANNEL])).toBe(1);
  await copier.redis.send("HSET", [ROWS, TWO.id, row]);
});

/**
 * Behaves like a region that lost its last change, in which a follower joined;
 * `check` does what the records API does on request.
 */
async function loseTail({ id: lost }: Followed): Promise<{ check: () => Promise<void> }> {
  const before = (await copier.redis.send("HGETALL", [HEAD])) as Record<string, string>;
  const version = String(Number(before["version:0"]) - 1);
  await copier.redis.send("HDEL", [ROWS, lost]);
  await copier.redis.send("HDEL", [REGION.rosterSeats(CHANNEL, "desk"), lost]);
  await copier.redis.send("HSET", [HEAD, "version", version, "version:0", version, "count:0", "2"]);
  await worker?.stop();
  worker = await startRole("broker", { ...desk.env, FANFARE_CONSUMER: "worker" });
  await copier.redis.send("DEL", [REGION.rostersBehind]);
  const targets = {
    home: copier.redis,
    regions: new Map([["local", copier.redis]]),
    partitions: PARTITIONS,
  };
  return {
    async check() {
      await until("the roster is asked for and checked", async () => {
        return (await checkRequested(records, targets, copier.redis)) > 0;
      });
    },
  };
}

test("a follower lost with the tail of its roster ends as skipped once it is rebuilt, and is copied again from the next signal on", async () => {
  const { check } = await loseTail(TWO);
  const id = await copier.send();
  await check();
  const placed = ["placed"];
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: placed,
    [TWO.id]: ["skipped: FAULT"],
    [THREE.id]: placed,
  });
  expect(await collectOutcomes(await copier.send())).toEqual({
    [ONE.id]: placed,
    [TWO.id]: placed,
    [THREE.id]: placed,
  });
});

test("a lost follower is named even if the roster is rebuilt after the deadline", async () => {
  const { check } = await loseTail(TWO);
  const id = await copier.send();
  const sentAtMs = Date.now();
  await until("the deadline has passed", () => Promise.resolve(Date.now() > sentAtMs + 4_500));
  await check();
  const late = ["skipped: TOO_LATE"];
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: late,
    [TWO.id]: ["skipped: FAULT"],
    [THREE.id]: late,
  });
});

test("if the roster is not rebuilt in time, all end as too late", async () => {
  const version = (await copier.redis.send("HGET", [HEAD, "version:0"])) as string;
  await copier.redis.send("HSET", [HEAD, "version:0", String(Number(version) - 1)]);
  const id = await copier.send();
  const late = ["skipped: TOO_LATE"];
  expect(await collectOutcomes(id)).toEqual({ [ONE.id]: late, [TWO.id]: late, [THREE.id]: late });
  expect((await readBooks(copier.redis, id)).contracts.size).toBe(0);
  await copier.redis.send("HSET", [HEAD, "version:0", version]);
});

test("a job that fails every time ends as a dead letter, each copy as skipped, and delays no other", async () => {
  await copier.redis.send("HSET", [
    REGION.layers,
    `channel:${CHANNEL}`,
    "1,{broken",
    "version",
    "1",
  ]);
  const bad = await copier.send();
  await until("it has failed", async () =>
    Boolean(await copier.redis.send("EXISTS", [`${REGION.jobs("desk")}:failures`])),
  );
  await copier.redis.send("HSET", [REGION.layers, "version", "2"]);
  const faults = ["skipped: FAULT"];
  expect(await collectOutcomes(bad)).toEqual({
    [ONE.id]: faults,
    [TWO.id]: faults,
    [THREE.id]: faults,
  });
  const dead = deadLetters(REGION.jobs("desk"));
  await until("it is a dead letter", async () => (await copier.redis.send("XLEN", [dead])) === 1);
  const [[, fields] = ["", []]] = (await copier.redis.send("XRANGE", [dead, "-", "+"])) as [
    string,
    string[],
  ][];
  expect(fields.join(" ")).toContain("the last time with SyntaxError");
  await copier.redis.send("DEL", [REGION.layers]);
  const good = await copier.send();
  expect(await collectOutcomes(good)).toEqual({
    [ONE.id]: ["placed"],
    [TWO.id]: ["placed"],
    [THREE.id]: ["placed"],
  });
  expect((await readBooks(copier.redis, bad)).contracts.size).toBe(0);
});

test("a job that fails after its orders were sent is reported as unknown, and then as in the broker's books", async () => {
  await worker?.stop();
  worker = await startRole("broker", {
    ...desk.env,
    FANFARE_CONSUMER: "worker",
    FANFARE_CRASH_AT: "before:report:1:kill",
  });
  const id = await copier.send();
  await until("its orders are booked", async () => {
    return (await readBooks(copier.redis, id)).contracts.size === 3;
  });
  await worker.kill();
  await copier.redis.send("HSET", [
    REGION.layers,
    `channel:${CHANNEL}`,
    "1,{broken",
    "version",
    "3",
  ]);
  worker = await startRole("broker", { ...desk.env, FANFARE_CONSUMER: "worker" });
  const kinds = ["unknown", "placed"];
  expect(await collectOutcomes(id)).toEqual({
    [ONE.id]: kinds,
    [TWO.id]: kinds,
    [THREE.id]: kinds,
  });
  await copier.redis.send("DEL", [REGION.layers]);
});
