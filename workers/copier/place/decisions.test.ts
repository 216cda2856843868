import { describe, expect, test } from "bun:test";
import { dayOf } from "../../../domain/copier/caps.ts";
import type { Facts } from "../../../domain/copier/decide.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import type { RosterMember } from "../stored/roster.ts";
import { decideAll, findMissing, takeSnapshot } from "./decisions.ts";

const SIGNAL = acceptedOpen();
const NOW_MS = SIGNAL.acceptedAtMs + 5;
const FIXED = { kind: "fixed", stakeCents: 100 } as const;

const decided = (members: readonly RosterMember[], facts: Partial<Facts> = {}) =>
  decideAll(jobOf(SIGNAL), members, { nowMs: NOW_MS, ...facts });

/** The result for each follower: the skip reason, or what may be done with the order. */
const states = (members: readonly RosterMember[], facts: Partial<Facts> = {}) =>
  decided(members, facts).map(
    ({ subscription, state, reason }) => `${subscription} ${state}${reason ? ` ${reason}` : ""}`,
  );

describe("a job's snapshot", () => {
  test("contains the members at the version that it names, and no one else (P5)", () => {
    const job = jobOf(SIGNAL, { version: 5 });
    const members = [
      memberOf("came-before", { turns: [5] }),
      memberOf("came-after", { turns: [6] }),
      memberOf("left-before", { turns: [1, 5] }),
      memberOf("left-after", { turns: [1, 6] }),
    ];
    const snapshot = takeSnapshot(job, members).map(({ subscription }) => String(subscription));
    expect(snapshot.toSorted()).toEqual(["came-before", "left-after"]);
  });

  test("begins with another follower from signal to signal, and loses none (P8)", () => {
    const members = Array.from({ length: 10 }, (_, index) => memberOf(`m${index}`));
    const firsts = new Set<string>();
    for (let sequence = 1; sequence <= 10; sequence += 1) {
      const job = jobOf(acceptedOpen({ id: signalIdOf(sequence), sequence }));
      const snapshot = takeSnapshot(job, members);
      expect(new Set(snapshot).size).toBe(10);
      firsts.add(String(snapshot[0]?.subscription));
    }
    expect(firsts.size).toBeGreaterThan(7);
  });
});

describe("the missing members of a job's snapshot, by its count (P5)", () => {
  const gone = memberOf("gone", { turns: [], isUnreadable: true });
  const missing = (count: number, ...members: RosterMember[]) =>
    findMissing({ version: 5, count }, members).map(({ subscription }) => String(subscription));

  test("are none if as many are found as were counted, even if more joined later", () => {
    expect(missing(1, memberOf("ann"), memberOf("late", { turns: [6] }), gone)).toEqual([]);
  });

  test("are first those that cannot be read, then those that were written again, the earliest first", () => {
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
});

describe("a follower whose row or plan is broken", () => {
  // A plan of a later release may look like this to the current one.
  const broken = memberOf("ann", { plan: { sizing: FIXED, symbols: 7 } as never });
  const unreadable = memberOf("bob", { plan: {}, isUnreadable: true });

  test("does not affect the copy of any other follower (P5)", () => {
    expect(states([broken, unreadable, memberOf("carl")])).toEqual([
      "ann skipped FAULT",
      "bob skipped FAULT",
      "carl unsent",
    ]);
  });

  test("is only asked about if an order may have been sent", () => {
    expect(states([broken, unreadable, memberOf("carl")], { maybeSent: true })).toEqual([
      "ann ask-only FAULT",
      "bob ask-only FAULT",
      "carl maybe-sent",
    ]);
  });
});

describe("every member of a snapshot", () => {
  test("has exactly one order or one skip with its reason (P5)", () => {
    const members = [
      memberOf("ann"),
      memberOf("bob", { state: "paused" }),
      memberOf("carl", { plan: { sizing: FIXED, deniedSymbols: ["EUR/USD"] } }),
      memberOf("dora"),
    ];
    expect(states(members)).toEqual([
      "ann unsent",
      "bob skipped PAUSED",
      "carl skipped SYMBOL_DENIED",
      "dora unsent",
    ]);
  });

  test("is skipped under a halt of all, and only one is under a halt of their own (P4)", () => {
    const members = [memberOf("ann"), memberOf("bob", { state: "paused" })];
    // Their own reason comes first: they were not skipped because of the halt.
    expect(states(members, { stops: { all: "HALTED" } })).toEqual([
      "ann skipped HALTED",
      "bob skipped PAUSED",
    ]);
    const followers = new Map([[memberOf("ann").follower, "DRAINED" as const]]);
    expect(states([memberOf("ann"), memberOf("dora")], { stops: { followers } })).toEqual([
      "ann skipped DRAINED",
      "dora unsent",
    ]);
  });

  test("has an order if it may have been sent, and a stop of today makes it ask-only", () => {
    const members = [memberOf("ann"), memberOf("bob", { state: "left" }), memberOf("carl")];
    const followers = new Map([[memberOf("carl").follower, "HALTED" as const]]);
    expect(states(members, { maybeSent: true, stops: { followers } })).toEqual([
      "ann maybe-sent",
      "bob ask-only LEFT",
      "carl ask-only HALTED",
    ]);
  });
});

describe("an order", () => {
  test("has only the terms that differ from the signal", () => {
    const renamed = { sizing: FIXED, symbolMap: { "EUR/USD": "EURUSD" }, reverse: true };
    const copies = decided([memberOf("ann"), memberOf("bob", { plan: renamed })]);
    expect(copies.map(({ terms }) => terms)).toEqual([
      undefined,
      { symbol: "EURUSD", contract: "PUT" },
    ]);
  });

  test("of a follower with caps reserves its stake under its own id", () => {
    const [ann, bob] = decided([
      memberOf("ann"),
      memberOf("bob", { plan: { sizing: FIXED, maxOpen: 1 } }),
    ]);
    expect(ann?.reservation).toBeUndefined();
    expect(bob).toMatchObject({
      isReserved: true,
      stakeCents: 100,
      reservation: { before: "", day: dayOf(NOW_MS) },
    });
    expect(String(bob?.clientOrderId)).toBe(`${SIGNAL.id}.bob`);
  });

  test("that a halt stops reserves nothing", () => {
    const [copy] = decided([memberOf("bob", { plan: { sizing: FIXED, maxOpen: 1 } })], {
      stops: { all: "HALTED" },
    });
    expect(copy).toMatchObject({ isReserved: false, reservation: undefined });
  });
});
