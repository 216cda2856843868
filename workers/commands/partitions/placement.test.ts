import { expect, test } from "bun:test";
import { asId, type AccountId, type ChannelId, type HookId } from "../../../domain/ids.ts";
import { HomeKeys, hookKey, PartitionMap, RegionKeys } from "../../../redis/keys.ts";
import { DeskKeys } from "../../desk/stored/keys.ts";
import { deadLetters, failuresKey } from "../../../redis/streams.ts";
import {
  parsePartitionKey,
  placementOf,
  type PlacementParts,
  type PartitionKey,
} from "./placement.ts";

const map = new PartitionMap(16);
const parts: PlacementParts = {
  redis: undefined as never,
  records: undefined as never,
  from: 4,
  map,
};

/**
 * Every key of a partition, including new ones: getters directly, the others with
 * these arguments.
 */
function allKeys(keys: object): [string, string][] {
  const prototype = Object.getPrototypeOf(keys) as object;
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== "constructor")
    .map((name) => {
      const value: unknown = Reflect.get(keys, name);
      const key: unknown =
        typeof value === "function"
          ? Reflect.apply(value, keys, ["desk:{3}:a", "b", "c", 3])
          : value;
      return [name, String(key)];
    });
}

const parsed = (key: string): PartitionKey => {
  const found = parsePartitionKey(key);
  if (!found) throw new Error(`${key} is no key of a partition`);
  return found;
};

test.each([
  ["home", new HomeKeys(3)],
  ["region", new RegionKeys(3)],
  ["desk", new DeskKeys(3)],
] as const)("every key of a %s partition has a placement", (kind, keys) => {
  const found = allKeys(keys);
  expect(found.length).toBeGreaterThan(10);
  for (const [name, text] of found) {
    const key = parsed(text);
    expect([name, key.kind, key.partition]).toEqual([name, kind, 3]);
    expect(() => placementOf(key, parts)).not.toThrow();
  }
});

test("an unknown key is refused, even with the name of an inherited property", () => {
  for (const text of ["home:{3}:new", "desk:{3}:constructor", "region:{3}:toString:a"]) {
    expect(() => placementOf(parsed(text), parts)).toThrow("there is no placement");
  }
});

test("data that belong to a stream stay with it", () => {
  const { jobs, signals } = {
    jobs: new RegionKeys(3).jobs("desk"),
    signals: new HomeKeys(3).signals,
  };
  for (const stream of [jobs, signals]) {
    for (const key of [stream, deadLetters(stream), failuresKey(stream)]) {
      expect(placementOf(parsed(key), parts)).toBeUndefined();
    }
  }
});

test("a key of a channel or a hook moves to where it is read from then on", async () => {
  for (const id of ["demo", "a", "b-2", "other"]) {
    const old = new PartitionMap(4);
    const channel = asId<ChannelId>(id);
    const home = new HomeKeys(old.ofChannel(channel));
    const keys = [home.open(channel), home.channel(channel), home.grants(channel)];
    keys.push(home.routes(channel), home.chainHead(channel));
    keys.push(home.answer(channel, asId("me"), "a:key:{7}"));
    for (const key of keys) {
      const placed = await placementOf(parsed(key), parts)?.([["a", "1"]]);
      expect([...(placed ?? [])]).toEqual([[map.ofChannel(channel), [["a", "1"]]]]);
    }
    const hook = asId<HookId>(id);
    const placed = await placementOf(parsed(hookKey(hook, old)), parts)?.([["", "{}"]]);
    expect(hookKey(hook, map)).toBe(`home:{${[...(placed?.keys() ?? [])].join()}}:hook:${id}`);
  }
});

test("a shard's contracts are split by account, and each partition has all field numbers", async () => {
  const accounts = ["ann", "bob", "cat", "dan", "eve"];
  const rows = accounts.map((account) => `${account},${account},100;`);
  const items = [
    ["0#0", `open,CALL,8500,1,2,3,EUR/USD|${rows.slice(0, 2).join("")}`],
    ["0#1", `open,CALL,8500,1,2,3,EUR/USD|${rows.slice(2).join("")}`],
  ] as const;
  const placed = await placementOf(parsed(new DeskKeys(3).contracts("s3_a")), parts)?.(items);
  expect([...(placed?.keys() ?? [])]).toEqual([3, 7, 11, 15]);
  for (const [partition, some] of placed ?? []) {
    expect(some.map(([field]) => field)).toEqual(["0#0", "0#1"]);
    for (const [, text] of some) {
      for (const row of (text.split("|")[1] ?? "").split(";").slice(0, -1)) {
        expect(map.ofAccount(row.split(",")[1] as AccountId)).toBe(partition);
      }
    }
  }
});
