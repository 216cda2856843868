import { expect, test } from "bun:test";
import { deskKeysInUse } from "../../../redis/format.ts";
import { askedQuoteKey, askingKey, DeskKeys } from "./keys.ts";

/** What a cluster finds a key's slot by. */
const hashTag = (key: string): string | undefined => /\{([^}]+)\}/.exec(key)?.[1];

/** Every key of a partition, whatever is added to them. */
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

test("all keys of a partition have it as their hash tag, so that a script touches one slot", () => {
  const found = allKeys(new DeskKeys(12));
  expect(found.length).toBeGreaterThan(15);
  for (const [name, key] of found) {
    expect([name, hashTag(key)]).toEqual([name, "12"]);
    expect(key).toStartWith("desk:{12}:");
  }
  expect(new Set(found.map(([, key]) => key)).size).toBe(found.length);
});

test("what is prepared for a key is in its slot, and each restorer's own", () => {
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

test("a Redis is known to be in use by keys that the desk has", () => {
  const desk = new DeskKeys(3);
  expect(deskKeysInUse(3)).toEqual([desk.balances, desk.audit]);
});
