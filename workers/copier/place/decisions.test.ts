import { describe, expect, test } from "bun:test";
import type { Facts } from "../../../domain/copier/decide.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import type { Halts, HaltState } from "../stored/halt.ts";
import type { RosterMember } from "../stored/roster.ts";
import { decideAll, missingOf, snapshotOf, withoutSending } from "./decisions.ts";

const SIGNAL = acceptedOpen();
const NOW_MS = SIGNAL.acceptedAtMs + 5;
const FIXED = { kind: "fixed", stakeCents: 100 } as const;

const halts = (scopes: Readonly<Record<string, HaltState>> = {}): Halts => ({
  version: "1",
  scopes: new Map(Object.entries(scopes)),
});

const decided = (
  members: readonly RosterMember[],
  {
    facts = {},
    stopped = {},
  }: { facts?: Partial<Facts>; stopped?: Record<string, HaltState> } = {},
) => decideAll(jobOf(SIGNAL), members, halts(stopped), { nowMs: NOW_MS, ...facts });

const names = (rows: readonly (readonly [unknown, ...unknown[]])[]) =>
  rows.map(([subscription]) => String(subscription));

describe("a job's snapshot", () => {
  test("is who sat there at the version that it names, and nobody else (P5)", () => {
    const job = jobOf(SIGNAL, { version: 5 });
    const members = [
      memberOf("came-before", { turns: [5] }),
      memberOf("came-after", { turns: [6] }),
      memberOf("left-before", { turns: [1, 5] }),
      memberOf("left-after", { turns: [1, 6] }),
    ];
    const snapshot = snapshotOf(job, members).map(({ subscription }) => String(subscription));
    expect(snapshot.toSorted()).toEqual(["came-before", "left-after"]);
  });

  test("begins with another follower from signal to signal, and loses none (P8)", () => {
    const members = Array.from({ length: 10 }, (_, index) => memberOf(`m${index}`));
    const firsts = new Set<string>();
    for (let sequence = 1; sequence <= 10; sequence += 1) {
      const job = jobOf(acceptedOpen({ id: signalIdOf(sequence), sequence }));
      const snapshot = snapshotOf(job, members);
      expect(new Set(snapshot).size).toBe(10);
      firsts.add(String(snapshot[0]?.subscription));
    }
    expect(firsts.size).toBeGreaterThan(7);
  });
});

describe("who is missing from a job's snapshot, by its count (P5)", () => {
  const gone = memberOf("gone", { turns: [], isUnreadable: true });
  const missing = (count: number, ...members: RosterMember[]) =>
    missingOf({ version: 5, count }, members).map(({ subscription }) => String(subscription));

  test("is nobody where as many are seated as were counted, whoever came later", () => {
    expect(missing(1, memberOf("ann"), memberOf("late", { turns: [6] }), gone)).toEqual([]);
  });

  test("is first who cannot be read at all, then who was written anew, the earliest first", () => {
    const members = [
      memberOf("ann"),
      memberOf("later", { turns: [9] }),
      memberOf("anew", { turns: [8] }),
      memberOf("left", { turns: [6, 7] }),
      gone,
    ];
    expect(missing(3, ...members)).toEqual(["gone", "anew"]);
    expect(missing(9, ...members)).toEqual(["gone", "anew", "later"]);
  });

  test("is skipped with a reason, and only asked about where an order may have been sent", () => {
    const none = { intents: { decidedAtMs: 1, orders: [], skips: [] }, reservations: [] };
    const job = jobOf(SIGNAL);
    expect(withoutSending(none, job, [gone], false).intents).toMatchObject({
      orders: [],
      skips: [["gone", "gone-acct", "FAULT"]],
    });
    expect(withoutSending(none, job, [gone], true).intents).toMatchObject({
      orders: [["gone", "gone-acct", SIGNAL.stakeCents, { askOnly: "FAULT" }]],
      skips: [],
    });
  });
});

test("a follower whose row cannot be read is only asked about where an order may have been sent", () => {
  const members = [memberOf("ann", { plan: {}, isUnreadable: true })];
  expect(decided(members).intents).toMatchObject({
    orders: [],
    skips: [["ann", "ann-acct", "FAULT"]],
  });
  expect(decided(members, { facts: { maybeSent: true } }).intents).toMatchObject({
    orders: [["ann", "ann-acct", SIGNAL.stakeCents, { askOnly: "FAULT" }]],
    skips: [],
  });
});

describe("everyone of a snapshot", () => {
  test("is either ordered or skipped, with the reason, and once (P5)", () => {
    const { intents } = decided([
      memberOf("ann"),
      memberOf("bob", { state: "paused" }),
      memberOf("carl", { plan: { sizing: FIXED, deniedSymbols: ["EUR/USD"] } }),
      memberOf("dora"),
    ]);
    expect(names(intents.orders)).toEqual(["ann", "dora"]);
    expect(intents.skips.map((skip) => skip.map(String))).toEqual([
      ["bob", "bob-acct", "PAUSED"],
      ["carl", "carl-acct", "SYMBOL_DENIED"],
    ]);
    expect(intents.decidedAtMs).toBe(NOW_MS);
  });

  test("is skipped under a halt of all, and alone under one of their own (P4)", () => {
    const members = [memberOf("ann"), memberOf("bob", { state: "paused" })];
    const all = decided(members, { stopped: { "channel:demo": "halt" } });
    expect(all.intents.orders).toEqual([]);
    // Their own reason comes first: the halt is not why they were skipped.
    expect(all.intents.skips.map(([, , reason]) => reason)).toEqual(["HALTED", "PAUSED"]);
    const one = decided([memberOf("ann"), memberOf("dora")], {
      stopped: { "follower:ann-person": "drain" },
    });
    expect(names(one.intents.orders)).toEqual(["dora"]);
    expect(one.intents.skips.map(([, , reason]) => reason)).toEqual(["DRAINED"]);
  });

  test("is ordered where it may have been sent, and what would stop it now says that it is only asked about", () => {
    const members = [memberOf("ann"), memberOf("bob", { state: "left" }), memberOf("carl")];
    const { intents } = decided(members, {
      facts: { maybeSent: true },
      stopped: { "follower:carl-person": "halt" },
    });
    expect(intents.skips).toEqual([]);
    expect(intents.orders.map((order) => order[3])).toEqual([
      undefined,
      { askOnly: "LEFT" },
      { askOnly: "HALTED" },
    ]);
  });
});

describe("an order", () => {
  test("is written without terms where it is as the signal says, and with those that differ", () => {
    const renamed = { sizing: FIXED, symbolMap: { "EUR/USD": "EURUSD" }, reverse: true };
    const { intents } = decided([memberOf("ann"), memberOf("bob", { plan: renamed })]);
    expect(intents.orders.map((order) => order.slice(2))).toEqual([
      [100],
      [100, { symbol: "EURUSD", contract: "PUT" }],
    ]);
  });

  test("of a follower with caps is marked, and reserves what it stakes under its own id", () => {
    const { intents, reservations } = decided([
      memberOf("ann"),
      memberOf("bob", { plan: { sizing: FIXED, maxOpen: 1 } }),
    ]);
    expect(intents.orders[1]?.[3]).toEqual({ reserved: true });
    expect(reservations).toHaveLength(1);
    expect(reservations[0]).toMatchObject({ before: "", stakeCents: 100 });
    expect(String(reservations[0]?.clientOrderId)).toBe(`${SIGNAL.id}.bob`);
  });

  test("that a halt stops reserves nothing", () => {
    const { reservations } = decided([memberOf("bob", { plan: { sizing: FIXED, maxOpen: 1 } })], {
      stopped: { platform: "halt" },
    });
    expect(reservations).toEqual([]);
  });
});
