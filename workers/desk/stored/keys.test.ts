import { expect, test } from "bun:test";
import { deskKeysInUse } from "../../../redis/format.ts";
import { askedQuoteKey, askingKey, DeskKeys } from "./keys.ts";

/** The slot that a cluster computes for a key. */
const hashTag = (key: string): string | undefined => /\{([^}]+)\}/.exec(key)?.[1];

/** Every key of a partition, including keys that are added later. */
function allKeys(keys: DeskKeys): [string, string][] {
  return Object.getOwnPropertyNames(DeskKeys.prototype)
    .filter((name) => name !== "constructor")
    .map((name) => {
      const value: unknown = Reflect.get(keys, name);
      const key: unknown =
        typeof value === "function" ? Reflect.apply(value, keys, ["s0_a", "me"]) : value;
      return [name, String(key)];
    });
}

test("all keys of a partition have its number as their hash tag, so that a script touches one slot", () => {
  const found = allKeys(new DeskKeys(12));
  expect(found.length).toBeGreaterThan(15);
  for (const [name, key] of found) {
    expect([name, hashTag(key)]).toEqual([name, "12"]);
    expect(key).toStartWith("desk:{12}:");
  }
  expect(new Set(found.map(([, key]) => key)).size).toBe(found.length);
});

test("a prepared key is in the slot of its key, and differs for each restore", () => {
  const desk = new DeskKeys(12);
  const [mine, yours] = ["me", "you"].map((each) => desk.prepared(desk.balances, each));
  expect(hashTag(mine ?? "")).toBe("12");
  expect(mine).not.toBe(yours);
  expect(mine).not.toBe(desk.prepared(desk.buys, "me"));
});

test("a quote and the lease to ask for it are in one slot", () => {
  expect(hashTag(askedQuoteKey("ABC"))).toBe("ABC");
  expect(hashTag(askingKey("ABC"))).toBe("ABC");
  expect(askedQuoteKey("ABC")).not.toBe(askingKey("ABC"));
});

test("a Redis that is in use is recognized by the desk's keys", () => {
  const desk = new DeskKeys(3);
  expect(deskKeysInUse(3)).toEqual([desk.balances, desk.audit]);
});
