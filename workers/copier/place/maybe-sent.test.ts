/**
 * An order that may have been sent before a Redis restart is asked about, even if
 * settings have changed since.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
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
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRole } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { writeStop } from "../roster/stops.ts";

setDefaultTimeout(30_000);

/** All are in one partition, and so in one job. */
const [ACTIVE, HALTED, PAUSED, LEFT] = Array.from({ length: 64 }, (_, index) => followerOf(index))
  .filter(({ account }) => PARTITIONS.ofAccount(account) === 0)
  .slice(0, 4) as [Followed, Followed, Followed, Followed];
type Followed = ReturnType<typeof followerOf>;

let desk: TestDesk;
let copier: Copier;

beforeAll(async () => {
  desk = await startDesk("always");
  copier = await startCopier(desk, 0, { deadlineMs: 4_000 });
  const all = [ACTIVE, HALTED, PAUSED, LEFT];
  await desk.deposit(
    all.map(({ account }) => account),
    1_000,
  );
  await subscribe(copier.redis, all);
}, 30_000);
afterAll(async () => {
  copier.stop();
  await desk.stop();
});

test("a worker that takes a job over sends no order that its former worker might only ask about", async () => {
  const id = await copier.send({ durationSeconds: 3_600 });
  // Any data of the job may have been lost now.
  await desk.redis.kill();
  await desk.redis.restart();
  const places = {
    home: copier.redis,
    regions: new Map([["local", copier.redis]]),
    partitions: PARTITIONS,
  };
  await writeStop(places, `follower:${HALTED.follower}`, "halt");
  await subscribe(copier.redis, [
    { ...PAUSED, state: "paused", version: 2 },
    { ...LEFT, state: "left", version: 2 },
  ]);
  const env = { ...desk.env, FANFARE_CONSUMER: "worker" };
  // The first reply says that the job is older than its Redis.
  const first = await startRole("broker", { ...env, FANFARE_CRASH_AT: "after:intend:2:kill" });
  const key = new RegionKeys(0).job(id, "desk", 0);
  await until("the intents are written", async () =>
    Boolean(await copier.redis.send("HEXISTS", [key, "intents"])),
  );
  await first.kill();
  // The obstacle of that time is gone. It is still not known that nothing was sent.
  await writeStop(places, `follower:${HALTED.follower}`, "lift");
  await subscribe(copier.redis, [
    { ...PAUSED, version: 3 },
    { ...LEFT, version: 3 },
  ]);

  const second = await startRole("broker", env);
  await copier.complete(id);
  const outcomes = await readOutcomes(copier.redis, id);
  const { contracts } = await readBooks(copier.redis, id);
  await second.stop();
  expect([...contracts.keys()]).toEqual([`${id}.${ACTIVE.id}`]);
  expect(Object.fromEntries(outcomes)).toEqual({
    [ACTIVE.id]: ["placed"],
    [HALTED.id]: ["skipped: HALTED"],
    [PAUSED.id]: ["skipped: PAUSED"],
    [LEFT.id]: ["skipped: LEFT"],
  });
});
