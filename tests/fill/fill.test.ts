/**
 * A Redis is emptied in the middle of trading. It refuses, the running processes
 * fill it from the records, and signals are copied for all followers again.
 * Verdicts are read from the broker's book.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import { CHANNEL, PARTITIONS } from "../support/copier.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";
import { FOLLOWERS, startWorld, type World } from "./world.ts";

setDefaultTimeout(120_000);

let home: TestRedis;
let region: TestRedis;
let world: World;

beforeAll(async () => {
  // Without a file: a killed Redis returns with an empty disk.
  [home, region] = await Promise.all([
    startRedis({ filled: false }),
    startRedis({ filled: false }),
  ]);
  world = await startWorld(home, region);
});
afterAll(async () => {
  await world.stop();
});

const both = () => [world.home, world.region];
const flush = async (...some: readonly { send: World["home"]["send"] }[]): Promise<void> => {
  await Promise.all(some.map((each) => each.send("FLUSHALL", [])));
};

/** Each order of every accepted signal is on the book at most once. */
async function accept(signal?: Readonly<Record<string, unknown>>) {
  const sent = await world.send(signal);
  if (sent.kind === "refused") throw new Error(sent.code);
  return sent;
}

/** The recorded outcomes, once every follower has a known one. */
async function finish(id: string): Promise<ReadonlyMap<string, string>> {
  return await until(
    "everyone has an outcome that is known",
    async () => {
      const outcomes = await world.outcomes(id);
      return outcomes.size === FOLLOWERS && ![...outcomes.values()].includes("unknown") && outcomes;
    },
    30_000,
  );
}

/** The followers with an order in the records have one at the broker, and no others do. */
async function expectBooked(id: string): Promise<void> {
  const placed = [...(await finish(id))].flatMap(([subscription, outcome]) =>
    outcome === "placed" ? [`${id}.${subscription}`] : [],
  );
  expect(placed.toSorted()).toEqual(world.booked(id).toSorted());
}

function expectNothingTwice(): void {
  const ids = world.broker.book().map(({ clientOrderId }) => clientOrderId);
  expect(ids.length).toBe(new Set(ids).size);
}

async function expectRecovery(what: string, refuses?: boolean): Promise<void> {
  const { refused, accepted, ms } = await world.reachAll();
  console.log(
    `${what}: a signal reaches all ${FOLLOWERS} followers after ${ms} ms (${refused.length} refused, ${accepted.length} accepted)`,
  );
  if (refuses !== undefined) expect(refused.length > 0).toBe(refuses);
  expect(refused.filter((code) => code !== "STORE_UNFILLED")).toEqual([]);
  expectNothingTwice();
}

test("a new system is filled at its first start, with what the records say", async () => {
  expect(await world.isFilled(world.home, "home")).toBe(true);
  expect(await world.isFilled(world.region, "region")).toBe(true);
  await expectRecovery("first start", false);
});

test("an emptied home refuses with a 503 and its own code, until it is filled", async () => {
  await flush(world.home);
  expect(await world.send()).toEqual({
    kind: "refused",
    code: "STORE_UNFILLED",
    retryAfter: "1",
  });
  await expectRecovery("home flushed", true);
});

test("an emptied region takes no jobs until it is filled, and signals accepted meanwhile end with an outcome for every follower", async () => {
  await flush(world.region);
  const { id } = await accept();
  await expectRecovery("region flushed", false);
  await expectBooked(id);
});

test("all are emptied at once, with signals in progress", async () => {
  const sending = Promise.all(Array.from({ length: 10 }, () => world.send()));
  await flush(...both());
  await sending;
  await expectRecovery("all flushed", true);
});

test("a Redis that restarts with an empty disk is filled", async () => {
  for (const [name, redis] of [
    ["home", home],
    ["region", region],
  ] as const) {
    await redis.kill();
    await redis.restart();
    await until("it is filled", async () =>
      world.isFilled(name === "home" ? world.home : world.region, name).catch(() => false),
    );
    await expectRecovery(`${name} restarted empty`, false);
  }
});

test("orders that were sent before the region was emptied, and not reported, are reported as placed and sent once", async () => {
  await world.roles.get("broker")!.kill();
  // It dies when its orders are at the broker and none of their outcomes are in Redis.
  await world.start("broker", "broker", { FANFARE_CRASH_AT: "before:report:1:kill" });
  const { id } = await accept();
  const broker = world.roles.get("broker")!;
  await until("it has died", () => broker.state() === "dead");
  const before = world.booked(id).toSorted();
  expect(before.length).toBeGreaterThan(0);

  await flush(world.region);
  await world.start("broker");
  await expectBooked(id);
  expect(world.booked(id).toSorted()).toEqual(before);
  expectNothingTwice();
  await expectRecovery("region flushed over a dead worker", false);
});

test("a signal that no region had taken when the home was emptied ends with an outcome for every follower", async () => {
  await region.kill();
  const { id } = await accept();
  await until("it is recorded", async () => (await world.records.signals.get(id)) !== undefined);
  await flush(world.home);
  await region.restart();
  await expectBooked(id);
  await expectRecovery("home flushed and region restarted empty");
});

test("what was open when the home was emptied can be closed", async () => {
  const { id } = await accept();
  await until("it is placed", () => world.booked(id).length === FOLLOWERS);
  await until("it is recorded", async () => (await world.records.signals.get(id)) !== undefined);
  await flush(world.home);
  await until("it is filled", () => world.isFilled(world.home, "home"));
  const { followers } = await accept({ action: "close", signal: id, symbol: undefined });
  expect(followers).toBe(FOLLOWERS);
  await until("all of it is sold", () => {
    const sold = world.broker.sales().flatMap(({ sold: order }) => order.startsWith(id) || []);
    return sold.length === FOLLOWERS;
  });
  await expectRecovery("home flushed, positions closed", false);
});

describe("a halt", () => {
  const SCOPE = `channel:${CHANNEL}` as const;

  async function halt(): Promise<void> {
    await world.control("halt", SCOPE, "--why", "news");
    await until("it is recorded", async () => {
      const stop = await world.records.stops.get(SCOPE);
      return stop?.state === "halt" && stop.why === "news";
    });
  }

  /**
   * If a lift is not recorded when its Redis is lost, it counts for nothing: the
   * stricter state applies.
   */
  async function lift(): Promise<void> {
    await world.control("lift", SCOPE);
    await until("it is recorded", async () => {
      const stop = await world.records.stops.get(SCOPE);
      return stop?.state === "open";
    });
  }

  /** No signal is accepted before the halt is in force again in every partition. */
  async function expectHalted(): Promise<void> {
    await until("signals are refused as halted", async () => {
      const sent = await world.send();
      expect(sent).toMatchObject({ kind: "refused" });
      return sent.kind === "refused" && sent.code === "TRADING_HALTED";
    });
    const keys = PARTITIONS.all().flatMap((each) => [
      [world.home, new HomeKeys(each).halts] as const,
      [world.region, new RegionKeys(each).halts] as const,
    ]);
    await until("the region has it as well", () => world.isFilled(world.region, "region"));
    for (const [redis, key] of keys) expect(await redis.send("HGET", [key, SCOPE])).toBe("halt");
  }

  test.each([
    ["home", () => [world.home]],
    ["region", () => [world.region]],
    ["all", both],
  ] as const)("survives a flush of %s, and only a person lifts it", async (what, some) => {
    await halt();
    await flush(...some());
    await expectHalted();
    await lift();
    await expectRecovery(`${what} flushed under a halt, and lifted`, false);
  });

  test("survives a flush whose filler is killed during the work, and the next flush", async () => {
    await halt();
    await world.roles.get("records")!.kill();
    await world.start("records", "records", { FANFARE_CRASH_AT: "before-filled:1:kill" });
    await flush(...both());
    const records = world.roles.get("records")!;
    await until("it has died", () => records.state() === "dead");
    expect(await world.send()).toMatchObject({ kind: "refused" });
    await flush(world.home);
    await world.start("records");
    await expectHalted();
    await lift();
    await expectRecovery("all flushed twice under a halt, and lifted", false);
  });
});

describe("the records role", () => {
  const isFilled = () => world.isFilled(world.home, "home");

  test("is away: the home refuses, and is filled once the role is back", async () => {
    await world.roles.get("records")!.kill();
    await flush(world.home);
    const lookUntilMs = Date.now() + 2_000;
    await until("it has refused for a while", async () => {
      expect(await world.send()).toMatchObject({ code: "STORE_UNFILLED" });
      return Date.now() > lookUntilMs;
    });
    await world.start("records");
    await expectRecovery("records started over an empty home", false);
  });

  test("is killed in the middle of filling, and another continues", async () => {
    await world.roles.get("records")!.kill();
    await world.start("records", "records", { FANFARE_CRASH_AT: "before-filled:1:kill" });
    await world.start("records", "other");
    // The first one fills, and it may be the one with the crash point.
    await world.roles.get("other")!.halt();
    await flush(world.home);
    const records = world.roles.get("records")!;
    await until("it has died", () => records.state() === "dead");
    expect(await isFilled()).toBe(false);
    world.roles.get("other")!.resume();
    await expectRecovery("records killed while it filled", true);
    await world.roles.get("other")!.stop();
    await world.start("records");
  });

  test("is suspended while its Redis is killed and returns empty: it does not mark what it had filled before", async () => {
    await world.roles.get("records")!.kill();
    await world.start("records", "records", { FANFARE_CRASH_AT: "before-filled:1:stop" });
    await flush(world.home);
    const records = world.roles.get("records")!;
    await until("it is halted", () => records.state() === "halted");
    await home.kill();
    await home.restart();
    expect(await world.send()).toMatchObject({ kind: "refused" });
    records.resume();
    await expectRecovery("home killed while it was filled", true);
  });
});
