import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  asId,
  signalIdIn,
  type AccountId,
  type ChannelId,
  type HookId,
  type PersonId,
} from "../domain/ids.ts";
import { HomeKeys, hookKey, PartitionMap, RegionKeys } from "./keys.ts";

const CHANNEL = asId<ChannelId>("demo");
const PERSON = asId<PersonId>("alice");
const SIGNAL = signalIdIn(5, "0".repeat(32));

describe("the partition of a name", () => {
  // All stored data are found by this hash: another hash would lose every account and every
  // channel.
  test.each([
    ["demo", { 1: 0, 4: 2, 16: 6, 64: 54 }],
    ["acct-0000", { 1: 0, 4: 1, 16: 5, 64: 21 }],
    ["acct-0001", { 1: 0, 4: 2, 16: 2, 64: 2 }],
    ["A-z_9", { 1: 0, 4: 3, 16: 15, 64: 63 }],
    ["x".repeat(64), { 1: 0, 4: 1, 16: 5, 64: 5 }],
  ])("%s is where it always was", (name, partitions) => {
    for (const [count, partition] of Object.entries(partitions)) {
      const map = new PartitionMap(Number(count));
      expect(map.ofAccount(asId<AccountId>(name))).toBe(partition);
      expect(map.ofChannel(asId<ChannelId>(name))).toBe(partition);
    }
  });

  test("is by the published hash FNV-1a of 32 bits", () => {
    const whole = new PartitionMap(2 ** 32);
    expect(whole.ofAccount(asId("a"))).toBe(0xe40c292c);
    expect(whole.ofAccount(asId("foobar"))).toBe(0xbf9cf968);
  });

  test("is one of the existing partitions", () => {
    const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    fc.assert(
      fc.property(id, fc.integer({ min: 1, max: 64 }), (text, count) => {
        const map = new PartitionMap(count);
        expect(map.all()).toHaveLength(count);
        expect(map.all()).toContain(map.ofAccount(asId(text)));
      }),
    );
  });

  test("spreads accounts with numbers in their names: no partition has twice its share", () => {
    const map = new PartitionMap(16);
    const counts = new Map<number, number>();
    for (let index = 0; index < 16_000; index += 1) {
      const partition = map.ofAccount(asId(`acct-${index}`));
      counts.set(partition, (counts.get(partition) ?? 0) + 1);
    }
    expect(counts.size).toBe(16);
    expect(Math.max(...counts.values())).toBeLessThan(2_000);
  });
});

/** The part of a key that decides its slot in a cluster. */
function hashTag(key: string): string {
  const start = key.indexOf("{");
  const end = key.indexOf("}", start);
  return start >= 0 && end > start + 1 ? key.slice(start + 1, end) : key;
}

/**
 * Every key of a partition, also keys that are added later: getters as they are, methods with these
 * arguments.
 */
function allKeys(keys: HomeKeys | RegionKeys, args: readonly unknown[]): [string, string][] {
  const prototype = Object.getPrototypeOf(keys) as object;
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== "constructor")
    .map((name) => {
      const value: unknown = Reflect.get(keys, name);
      const key: unknown = typeof value === "function" ? Reflect.apply(value, keys, args) : value;
      return [name, String(key)];
    });
}

describe.each([
  ["home", HomeKeys],
  ["region", RegionKeys],
] as const)("the keys of a %s partition", (kind, Keys) => {
  test("all have the partition as their hash tag, so that a script uses one slot", () => {
    const found = allKeys(new Keys(12), ["a", "b", "c", 3]);
    expect(found.length).toBeGreaterThan(10);
    for (const [name, key] of found) {
      expect([name, hashTag(key)]).toEqual([name, "12"]);
      expect(key).toStartWith(`${kind}:{12}:`);
    }
  });

  test("are different keys, for each name and for each of its arguments", () => {
    const found = [
      ...allKeys(new Keys(1), ["a", "b", "c", 3]),
      ...allKeys(new Keys(1), ["a2", "b2", "c2", 4]),
    ].map(([, key]) => key);
    const fixed = allKeys(new Keys(1), []).filter(([, key]) => !key.includes("undefined"));
    expect(new Set(found).size).toBe(found.length - fixed.length);
  });
});

test("an idempotency key leads neither to another partition nor to another sender's answer", () => {
  const home = new HomeKeys(3);
  for (const idempotencyKey of ["}", "{9}", "}{9}", ":", "a:b"]) {
    expect(hashTag(home.answer(CHANNEL, PERSON, idempotencyKey))).toBe("3");
  }
  expect(home.answer(CHANNEL, asId("a"), "b:c")).not.toBe(home.answer(CHANNEL, asId("a-b"), "c"));
});

test("a signal's id names its home partition", () => {
  expect(HomeKeys.ofSignal(SIGNAL).signal(SIGNAL)).toBe(new HomeKeys(5).signal(SIGNAL));
});

test("a hook is found by its id alone, for any number of partitions", () => {
  const partitions = new PartitionMap(4);
  const hook = asId<HookId>("hook-1");
  const partition = partitions.ofChannel(hook as never);
  expect(hookKey(hook, partitions)).toBe(`home:{${partition}}:hook:hook-1`);
});

test("a roster is recognised by its key of members, and no other key is mistaken for one", () => {
  const region = new RegionKeys(7);
  expect(RegionKeys.rosterOf(region.rosterSeats(CHANNEL, "desk"))).toEqual({
    partition: 7,
    broker: "desk",
    channel: CHANNEL,
  });
  for (const [name, key] of allKeys(region, ["demo", "desk", "c", 3])) {
    if (name !== "rosterSeats") expect([name, RegionKeys.rosterOf(key)]).toEqual([name, undefined]);
  }
});
