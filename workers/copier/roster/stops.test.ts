/**
 * Stops in several real Redis and in the records: which are recorded, which are
 * written back, and which are not.
 */
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import type { Scope } from "../../../domain/copier/scope.ts";
import type { Stop, StopAction } from "../../../domain/copier/stop.ts";
import { haltNotesKey, PartitionMap } from "../../../redis/keys.ts";
import { recordsDrivers } from "../../../tests/support/records.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { until } from "../../../tests/support/wait.ts";
import type { Records } from "../../records/port.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { compareStops } from "../reconcile/stops.ts";
import type { Targets } from "./projector.ts";
import {
  changeStop,
  followStops,
  listCopies,
  projectStops,
  readCopy,
  readStanding,
  writeStop,
} from "./stops.ts";

setDefaultTimeout(20_000);

const [home, far] = [await openRedis(), await openRedis()];
const targets: Targets = {
  home: home.redis,
  regions: new Map([
    ["local", home.redis],
    ["far", far.redis],
  ]),
  partitions: new PartitionMap(2),
};
/** Behaves as if the other region were away. */
const near: Targets = { ...targets, regions: new Map([["local", home.redis]]) };
const ALICE = { by: "alice", owner: "*", why: "the feed is wrong" };

describe.each(await recordsDrivers())("stops recorded in $name", ({ open }) => {
  let records: Records;
  beforeAll(async () => {
    records = await open();
  });
  afterAll(async () => {
    await records.close();
  });
  let scopes = 0;
  /** A different scope for each test, because records are not deleted. */
  let scope: Scope;
  beforeEach(async () => {
    scopes += 1;
    scope = `channel:c${scopes}`;
    await clear();
  });

  const set = (action: StopAction) => writeStop(targets, scope, action, ALICE);

  async function recorded(): Promise<Stop | undefined> {
    const {
      _id,
      follower: _,
      version: __,
      ...stop
    } = (await records.stops.get(scope)) ?? {
      _id: "",
      follower: "",
      version: 0,
      state: "open",
      atMs: 0,
      liftedAtMs: 0,
      by: "",
      owner: "",
      why: "",
    };
    return _id === "" ? undefined : stop;
  }

  /** Follows until a condition is true, as the records role does. */
  async function following(what: string, holds: () => Promise<unknown>): Promise<void> {
    const stop = new AbortController();
    const followed = followStops(records, targets, SYSTEM_CLOCK, stop.signal);
    try {
      await until(what, holds);
    } finally {
      stop.abort();
      await followed;
    }
  }

  const standing = async () => (await readStanding(targets)).scopes.get(scope);

  test("are in force everywhere at once, and are recorded with who, when and why when the records are back", async () => {
    const { stop, silent } = await set("halt");
    expect(silent).toEqual([]);
    expect(await standing()).toEqual(new Map([["halt", 6]]));
    expect(await recorded()).toBeUndefined();
    await following("it is recorded", recorded);
    expect(await recorded()).toEqual({ ...stop!, ...ALICE, state: "halt" });
    await set("lift");
    await following("its lift is recorded", async () => (await recorded())?.state === "open");
    expect(await recorded()).toMatchObject({ ...ALICE, state: "open" });
    expect(await standing()).toBeUndefined();
  });

  test("are in force and confirmed while nothing can be recorded", async () => {
    const gone = await open();
    await gone.close();
    const { silent } = await changeStop(gone, targets, scope, "drain", ALICE);
    expect(silent).toEqual([]);
    expect(await standing()).toEqual(new Map([["drain", 6]]));
    await following("it is recorded", recorded);
    expect(await recorded()).toMatchObject({ ...ALICE, state: "drain" });
    await changeStop(records, targets, scope, "lift", ALICE);
  });

  test("are written back to a Redis that lost them, with who, when and why", async () => {
    await changeStop(records, targets, scope, "halt", ALICE);
    const before = await recorded();
    await clear(far.redis);
    expect(await standing()).toEqual(new Map([["halt", 4]]));
    expect(await projectStops(records, targets)).toBeGreaterThanOrEqual(2);
    expect(await standing()).toEqual(new Map([["halt", 6]]));
    const copies = await Promise.all(listCopies(targets).map(readCopy));
    expect(copies.every((each) => each.get(scope)?.by === "alice")).toBe(true);
    await following("it is settled", async () => await standing());
    expect(await recorded()).toMatchObject({ state: "halt", by: before!.by, why: before!.why });
    await changeStop(records, targets, scope, "lift", ALICE);
  });

  test("that a Redis missed are written there while it is followed", async () => {
    const before = `broker:b${scopes}` as const;
    await writeStop(targets, before, "drain", ALICE);
    await following("it is there", async () => {
      // By then the followed Redis have been compared.
      if (!(await records.stops.get(before))) return false;
      if (!(await recorded())) await writeStop(near, scope, "halt", ALICE);
      return (await standing())?.get("halt") === 6;
    });
    for (const each of [before, scope]) await changeStop(records, targets, each, "lift", ALICE);
  });

  test("are recorded again where the records were restored without them", async () => {
    await changeStop(records, targets, scope, "drain", ALICE);
    const { version } = (await records.stops.get(scope))!;
    const nothing = {
      state: "open",
      atMs: 0,
      liftedAtMs: 0,
      by: "x",
      owner: "*",
      why: "",
    } as const;
    await records.stops.putNewer([{ _id: scope, ...nothing, follower: "", version: version + 1 }]);
    await following("it is recorded", async () => (await recorded())?.state === "drain");
    expect(await recorded()).toMatchObject({ by: "alice", why: ALICE.why });
    await changeStop(records, targets, scope, "lift", ALICE);
  });

  test("that were lifted while the records were away do not return", async () => {
    await changeStop(records, targets, scope, "halt", ALICE);
    await set("lift");
    expect(await projectStops(records, targets)).toBe(0);
    await following("the lift is recorded", async () => (await recorded())?.state === "open");
    expect(await standing()).toBeUndefined();
  });

  test("that were lifted do not return if the clocks of two Redis differ", async () => {
    for (const { redis, key } of listCopies(targets)) {
      const aheadMs = redis === far.redis ? 60_000 : 0;
      await redis.send("HSET", [key, "version", String(Date.now() + aheadMs)]);
    }
    await changeStop(records, targets, scope, "halt", ALICE);
    await set("lift");
    expect(await projectStops(records, targets)).toBe(0);
    await following("the lift is recorded", async () => (await recorded())?.state === "open");
    expect(await standing()).toBeUndefined();
  });

  test("stay in force where the lift did not arrive, until they are lifted there, and are reported", async () => {
    await changeStop(records, targets, scope, "halt", ALICE);
    await changeStop(records, near, scope, "lift", ALICE);
    await following("it is settled", async () => await standing());
    expect(await standing()).toEqual(new Map([["halt", 2]]));
    expect(await recorded()).toMatchObject({ state: "open" });
    expect(await differences()).toEqual([
      {
        kind: "STOP_DIFFERS",
        channel: scope.slice("channel:".length),
        detail: `${scope}: halt in 2 of 6, open in 4 of 6 partitions; recorded as open`,
      },
    ]);
    await changeStop(records, targets, scope, "lift", ALICE);
    expect(await differences()).toEqual([]);
  });

  test("that differ are reported, and a change of the last moment is not", async () => {
    await set("drain");
    expect(await compare(10_000)).toEqual([]);
    expect(await compare(-1_000)).toEqual([
      `${scope}: drain in 6 of 6 partitions; recorded as open`,
    ]);
    await changeStop(records, targets, scope, "drain", ALICE);
    expect(await compare(-1_000)).toEqual([]);
    await clear();
    expect(await compare(-1_000)).toEqual([
      `${scope}: open in 6 of 6 partitions; recorded as drain`,
    ]);
    await projectStops(records, targets);
    await changeStop(records, targets, scope, "lift", ALICE);
  });

  const sources = () => ({ ...targets, records, brokers: new Map(), clock: SYSTEM_CLOCK });
  const differences = async () => await compareStops(sources(), -1_000);
  const compare = async (graceMs: number) =>
    (await compareStops(sources(), graceMs)).map(({ detail }) => detail);
});

async function clear(only?: Targets["home"]): Promise<void> {
  for (const { redis, key } of listCopies(targets)) {
    if (only === undefined || redis === only) {
      await redis.send("DEL", [key]);
      await redis.send("DEL", [haltNotesKey(key)]);
    }
  }
}
