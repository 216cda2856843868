import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseRosterShard, wasSeated, type RosterMember } from "./roster.ts";

const row = (turns: readonly number[], version = 3): string =>
  JSON.stringify([version, turns, ["acct", "active", 9, { maxOpen: 1 }, "alice"]]);

const member = (turns: readonly number[]): RosterMember => {
  const [only] = parseRosterShard(["sub", row(turns)]);
  if (!only) throw new Error("no member");
  return only;
};

test("a shard's rows give its members in the same order, in any order of reading", () => {
  const rows = [["b", row([1])] as const, ["a", row([2])] as const, ["c", row([3])] as const];
  const members = parseRosterShard(rows.flat());
  expect(members.map(({ subscription }) => String(subscription))).toEqual(["a", "b", "c"]);
  expect(parseRosterShard(rows.toReversed().flat())).toEqual(members);
  expect(members[0] as object).toEqual({
    subscription: "a",
    account: "acct",
    follower: "alice",
    state: "active",
    expiresAtMs: 9,
    plan: { maxOpen: 1 },
    subscriptionVersion: 3,
    turns: [2],
  });
  expect(parseRosterShard([])).toEqual([]);
});

test("a member is in the snapshots from the version at which it joined to the one before it left", () => {
  const rejoined = member([10, 20, 30]);
  const seated = [9, 10, 19, 20, 29, 30, 99].map((version) => wasSeated(rejoined, version));
  expect(seated).toEqual([false, true, true, false, false, true, true]);
  expect(wasSeated(member([]), 99)).toBe(false);
});

test("later joins and leaves change no earlier snapshot", () => {
  const turns = fc.uniqueArray(fc.nat({ max: 100 }), { maxLength: 8 });
  fc.assert(
    fc.property(turns, fc.nat({ max: 100 }), (unordered, version) => {
      const all = unordered.toSorted((a, b) => a - b);
      const known = all.filter((turn) => turn <= version);
      expect(wasSeated(member(all), version)).toBe(wasSeated(member(known), version));
    }),
  );
});

test("a row that cannot be read does not affect the others, and gives what can still be read", () => {
  const whole = row([7]);
  const spoilt = [
    whole.slice(0, -1),
    "[1,[",
    "null",
    "[3,[7],[]]",
    "[3,7,{}]",
    '[3,[7],["acct","active",9,null,"alice"]]',
  ];
  const flat = spoilt.flatMap((text, index) => [`s${index}`, text]);
  const members = parseRosterShard([...flat, "whole", whole]);
  expect(members.map(({ isUnreadable = false }) => isUnreadable)).toEqual([
    ...spoilt.map(() => true),
    false,
  ]);
  expect(members.map(({ turns }) => turns)).toEqual([[7], [], [], [7], [], [7], [7]]);
  const accounts = members.map(({ account }) => String(account));
  const none = "unreadable";
  expect(accounts).toEqual(["acct", none, none, none, none, "acct", "acct"]);
});
